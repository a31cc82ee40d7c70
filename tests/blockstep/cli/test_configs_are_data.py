from pathlib import Path

import pytest
from started import QUICK, saved_config

SHELL = "{class_path: os.system, init_args: {command: mkdir harm}}"
OWN = "{class_path: harmful.call, init_args: {}}"
PLACES = {
    "optimizer": ("model: {optimizer: %s}", "model.optimizer"),
    "scheduler": ("model: {lr_scheduler: %s}", "model.lr_scheduler"),
    "argument of a scheduler": (
        "model: {lr_scheduler: {class_path: LambdaLR, init_args: {lr_lambda: %s}}}",
        "model.lr_scheduler",
    ),
    "callback's function": (
        "trainer: {callbacks: [{class_path: LambdaCallback, init_args: {on_fit_start: %s}}]}",
        "trainer.callbacks",
    ),
    "model": ("model: %s", "model"),
    "data": ("data: %s", "data"),
}


@pytest.mark.parametrize("spec", [SHELL, OWN], ids=["a shell", "a function of one's own"])
@pytest.mark.parametrize(("config", "key"), PLACES.values(), ids=PLACES)
def test_a_config_that_names_a_function_for_a_class_is_refused_and_calls_nothing(
    config, key, spec, example, monkeypatch, tmp_path, capsys
):
    Path("harmful.py").write_text("import os\n\ndef call():\n    os.mkdir('harm')\n")
    Path("config.yaml").write_text(config % spec)
    monkeypatch.syspath_prepend(tmp_path)
    assert example("fit", "--config=config.yaml") == 2
    assert key in capsys.readouterr().err
    assert not Path("harm").exists()
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer=torch.optim.lr_scheduler.StepLR"],
        ["--model.lr_scheduler=torch.optim.SGD"],
        ["--model.lr_scheduler=LambdaLR", "--model.lr_scheduler.lr_lambda=math.sqrt"],
        ["--model.optimizer={class_path: subprocess.Popen, init_args: {args: [mkdir, harm]}}"],
        ["--trainer.logger={class_path: CSVLogger, init_args: {save_dir: {class_path: os.mkdir}}}"],
    ],
    ids=" ".join,
)
def test_a_class_of_another_kind_is_refused(words, example, capsys):
    assert example("fit", *words) == 2
    assert words[0][2:].partition("=")[0] in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_no_object_is_built_for_an_argument_that_takes_any_value(example, monkeypatch, tmp_path):
    Path("anything.py").write_text(
        "import os\nfrom typing import Any\nfrom lightning.pytorch import Callback\n\n"
        "class Harmful:\n    def __init__(self):\n        os.mkdir('harm')\n\n"
        "class Taker(Callback):\n    def __init__(self, value: Any = None):\n        self.value = value\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    callback = "{class_path: anything.Taker, init_args: {value: {class_path: anything.Harmful}}}"
    assert example("fit", *QUICK, f"--trainer.callbacks={callback}") == 0
    assert not Path("harm").exists()


@pytest.mark.parametrize("words", [["--config=bomb.yaml"], ["--trainer=bomb.yaml"]], ids=" ".join)
def test_a_config_that_is_huge_once_its_aliases_are_written_out_is_refused(words, example, capsys):
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    Path("bomb.yaml").write_text("\n".join(["a0: &a0 [x]", *rows, "trainer: {callbacks: *a9}"]))
    assert example("fit", *words) == 2
    assert "at most 2000 values" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["bomb.yaml"]


def test_a_config_that_contains_itself_is_refused(example, capsys):
    Path("endless.yaml").write_text("trainer: &a {callbacks: [*a]}")
    assert example("fit", "--config=endless.yaml") == 2
    assert "at most 2000 values" in capsys.readouterr().err


def test_aliases_are_replaced_by_what_they_stand_for(example):
    Path("config.yaml").write_text("data: {num_validation: &n 60, batch_size: *n, num_training: *n}")
    assert example("fit", "--config=config.yaml") == 0
    assert saved_config()["data"]["num_training"] == 60
