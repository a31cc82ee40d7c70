import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from started import logged, saved_config

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.cli.application import Application
from blockstep.cli.classes import foreign_classes

RUN = Path("runs/run/version_0")
CHECKPOINTS = RUN / "checkpoints"
APPLICATION = Application(
    "mine",
    model="example.model.Classifier",
    data="example.data.Points",
    defaults={"name": "run", "trainer.accelerator": "cpu", "trainer.max_epochs": 1},
)

BORING = "lightning.pytorch.demos.boring_classes"
NET, ROWS = "foreign_classes.ThreeClasses", "foreign_classes.ThirtyFeatures"
THREE_CLASSES = [f"--model={NET}", "--model.width=8", f"--data={ROWS}", "--data.rows=50"]
VALUES = ["--data=foreign_classes.Values", "--data.rows=50"]
FOREIGN = {
    "Lightning's example": [f"--model={BORING}.BoringModel", f"--data={BORING}.BoringDataModule"],
    "three classes": THREE_CLASSES,
    "a regression": ["--model=foreign_classes.Line", "--model.inputs=1", *VALUES],
    "a subclass": ["--model=foreign_classes.Horizontal", "--model.bias=false", *VALUES],
    "a network as argument": [
        "--model=foreign_classes.Assembled",
        "--model.net={class_path: torch.nn.Linear, init_args: {in_features: 1, out_features: 1}}",
        *VALUES,
    ],
}
pytestmark = pytest.mark.filterwarnings("ignore:Attribute 'net' is an instance of `nn.Module`")


@pytest.fixture(autouse=True)
def _import_path_restored(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


def run(*words):
    return APPLICATION.main(words)


def printed_config(capsys, *words):
    """The settings that a fit would have."""
    with pytest.raises(SystemExit):
        run("fit", *words, "--print_config")
    return yaml.safe_load(capsys.readouterr().out)


# Other classes than the application's own


@pytest.fixture(params=FOREIGN.values(), ids=FOREIGN)
def trained(request, capsys):
    """A run of one epoch with other classes."""
    assert run("fit", *request.param) == 0
    capsys.readouterr()


@pytest.mark.usefixtures("trained")
def test_a_run_with_other_classes_goes_on_without_their_names():
    assert run("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    assert read_checkpoint(CHECKPOINTS / "last.ckpt")["epoch"] == 2


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_checkpoint_of_other_classes_is_evaluated_without_their_names(command):
    assert run(command, "--ckpt_path", "last") == 0


@pytest.mark.usefixtures("trained")
def test_another_checkpoint_of_a_run_with_other_classes_starts_a_new_run_without_their_names():
    copy = shutil.copy(CHECKPOINTS / "last.ckpt", CHECKPOINTS / "copy.ckpt")
    assert run("fit", f"--ckpt_path={copy}", "--trainer.max_epochs=2") == 0
    assert read_checkpoint(RUN.with_name("version_1") / "checkpoints" / "last.ckpt")["epoch"] == 2


@pytest.mark.usefixtures("trained")
def test_the_saved_config_names_other_classes_and_repeats_their_run():
    assert run("fit", "--config", str(RUN / "config.yaml")) == 0
    again = RUN.with_name("version_1")
    assert saved_config(again) == saved_config(RUN)
    assert logged("train/last_batch_loss", again) == logged("train/last_batch_loss", RUN)


def test_a_model_that_logs_nothing_has_the_times_of_its_epochs_in_its_table():
    assert run("fit", *FOREIGN["Lightning's example"], "--trainer.max_epochs=2") == 0
    assert len(logged("time/epoch_sec")) == 2


@pytest.mark.parametrize(
    ("name", "files"), [("three classes", ["best.ckpt", "last.ckpt"]), ("Lightning's example", ["last.ckpt"])]
)
def test_the_best_checkpoint_is_kept_if_val_loss_is_logged(name, files):
    assert run("fit", *FOREIGN[name]) == 0
    assert sorted(path.name for path in CHECKPOINTS.iterdir()) == files


def test_predictions_without_names_of_columns_are_numbered():
    assert run("fit", *THREE_CLASSES) == 0
    assert run("predict", "--ckpt_path=last") == 0
    header, *rows = Path("predictions.csv").read_text().splitlines()
    assert header.split(",") == [*(f"x{n}" for n in range(1, 31)), "y1", "y2", "y3", "label"]
    assert len(rows) == 50


def test_a_checkpoint_that_was_moved_is_evaluated_with_the_names_of_its_classes():
    assert run("fit", *THREE_CLASSES) == 0
    (CHECKPOINTS / "last.ckpt").rename("moved.ckpt")
    assert run("validate", "--ckpt_path=moved.ckpt", *THREE_CLASSES) == 0


@pytest.mark.parametrize("command", ["fit", "validate", "predict"])
def test_a_checkpoint_that_was_moved_asks_for_its_classes(command, capsys):
    assert run("fit", *THREE_CLASSES) == 0
    (CHECKPOINTS / "last.ckpt").rename("moved.ckpt")
    assert run(command, "--ckpt_path=moved.ckpt", f"--data={ROWS}", "--data.rows=50") == 2
    assert (
        "model must be named for a checkpoint that lies in no run. Got 'moved.ckpt', which was trained with other "
        f"classes: add --model {NET}, if you trust them."
    ) in capsys.readouterr().err


LATE = """
import torch
from torch.utils.data import DataLoader
from foreign_classes import ThirtyFeatures, ThreeClasses


class Configured(ThreeClasses):
    def __init__(self):
        super().__init__()
        del self.net

    def configure_model(self):
        torch.manual_seed(0)
        self.net = torch.nn.Linear(30, 3)


class Lazy(ThreeClasses):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.LazyLinear(3)


class ByPosition(ThirtyFeatures):
    def predict_dataloader(self):
        return DataLoader(self.dataset, 7)
"""


@pytest.mark.parametrize("name", ["Configured", "Lazy"])
def test_a_model_that_is_completed_by_a_hook_or_a_batch_goes_on_and_is_evaluated(name, monkeypatch):
    Path("late.py").write_text(LATE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert run("fit", f"--model=late.{name}", "--data=late.ByPosition") == 0
    assert run("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert run("validate", "--ckpt_path=last") == 0


def test_a_loader_whose_batch_size_is_given_by_position_predicts(monkeypatch):
    Path("late.py").write_text(LATE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert run("fit", f"--model={NET}", "--model.width=8", "--data=late.ByPosition") == 0
    assert run("predict", "--ckpt_path=last") == 0
    assert len(Path("predictions.csv").read_text().splitlines()) == 41


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "--model=BoringModle",
            "model must be the import path of a class, as in --model mine.Model. Got 'BoringModle'",
        ),
        (f"--model={BORING}.BoringModle", "has no attribute 'BoringModle'. Did you mean BoringModel"),
    ],
)
def test_a_misspelt_class_is_answered_in_words(word, said, capsys):
    assert run("fit", word) == 2
    assert said in capsys.readouterr().err


def test_classes_that_an_application_names_by_a_shorter_path_are_its_own():
    application = Application("short", model="lightning.LightningModule", data="lightning.LightningDataModule")
    assert foreign_classes(application, {"model": LightningModule, "data": LightningDataModule}) == {}


# How a class is named

NAMED = "{class_path: %s, init_args: {%s: 8}}"
FORMS = {
    "two words": lambda key, path, argument: [f"--{key}", path, f"--{key}.{argument}", "8"],
    "with =": lambda key, path, argument: [f"--{key}={path}", f"--{key}.{argument}=8"],
    "argument before the name": lambda key, path, argument: [f"--{key}.{argument}=8", f"--{key}", path],
    "class_path": lambda key, path, argument: [f"--{key}", NAMED % (path, argument)],
    "class_path with =": lambda key, path, argument: [f"--{key}={NAMED % (path, argument)}"],
    "class_path in a config": lambda key, path, argument: ["--config", config(f"{key}: {NAMED % (path, argument)}")],
    "config with =": lambda key, path, argument: [f"--config={config(f'{key}: {NAMED % (path, argument)}')}"],
    "config by -c": lambda key, path, argument: ["-c", config(f"{key}: {NAMED % (path, argument)}")],
    "config by -c without a space": lambda key, path, argument: [f"-c{config(f'{key}: {NAMED % (path, argument)}')}"],
    "config as text": lambda key, path, argument: [f"--config={{{key}: {NAMED % (path, argument)}}}"],
    "name in a config": lambda key, path, argument: ["-c", config(f"{key}: {path}"), f"--{key}.{argument}=8"],
    "after a word like a key": lambda key, path, argument: [
        "--name",
        key,
        "--config",
        config(f"{key}: {NAMED % (path, argument)}"),
    ],
}


def config(text):
    """A config file with this content."""
    Path("given.yaml").write_text(text)
    return "given.yaml"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(("key", "path", "argument"), [("model", NET, "width"), ("data", ROWS, "rows")])
def test_a_class_is_named_in_each_form(key, path, argument, form, capsys):
    printed = printed_config(capsys, *form(key, path, argument))
    assert printed[key] == {"class_path": path, "init_args": {argument: 8}}


OWN = {
    "two words": ["--model.width", "3"],
    "with =": ["--model.width=3"],
    "group": ["--model={width: 3}"],
    "file of the group": ["--model", "group.yaml"],
    "config": ["--config=given.yaml"],
    "file of the group in a config": ["--config=refers.yaml"],
    "the name of the own class": ["--model=example.model.Classifier", "--model.width=3"],
}


@pytest.mark.parametrize("words", OWN.values(), ids=OWN)
def test_the_applications_own_class_needs_no_name(words, capsys):
    config("model: {width: 3}")
    Path("group.yaml").write_text("width: 3")
    Path("refers.yaml").write_text("model: group.yaml")
    printed = printed_config(capsys, *words)["model"]
    assert printed["width"] == 3
    assert "class_path" not in printed


def test_the_command_line_goes_before_a_config(capsys):
    words = ["--config", config(f"model: {BORING}.BoringModel"), f"--model={NET}"]
    assert printed_config(capsys, *words)["model"]["class_path"] == NET


def test_defaults_of_the_applications_own_class_are_not_those_of_another(capsys):
    narrow = Application("mine", model=APPLICATION.model, data=APPLICATION.data, defaults={"model.width": 3})
    with pytest.raises(SystemExit):
        narrow.main(["fit", f"--model={NET}", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["width"] == 4


@pytest.mark.parametrize("words", [["--config=given.yaml"], ["--trainer.default_root_dir", "elsewhere"]], ids=" ".join)
def test_the_last_run_is_found_in_another_runs_folder(words):
    config("trainer: {default_root_dir: elsewhere}")
    assert run("fit", *THREE_CLASSES, *words) == 0
    assert run("validate", "--ckpt_path=last", *words) == 0


def test_a_class_in_the_current_folder_is_found_by_an_installed_command(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mine.py").write_text("from example.cli import main\n\nmain()\n")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "nets.py").write_text(
        "from example.model import Classifier\n\nclass Net(Classifier): ...\n"
    )
    command = [sys.executable, str(tmp_path / "bin" / "mine.py"), "fit", "--model=nets.Net", "--print_config"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path / "project", timeout=120)
    assert yaml.safe_load(done.stdout)["model"]["class_path"] == "nets.Net"


# Names that are refused

WRONG = {
    "a module that does not exist": ["--model=nowhere.Net"],
    "a class that does not exist": [f"--model={NET}s"],
    "a function": ["--model=json.dumps"],
    "a class of another kind": ["--model=pathlib.Path"],
    "data as model": [f"--model={ROWS}"],
    "model as data": [f"--data={NET}"],
    "a module that cannot be imported": ["--data=broken.Data"],
    "a name in a config": ["--config=given.yaml"],
    "a single word": ["--model=Net"],
    "no word": ["--model"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_a_name_of_something_else_is_refused(words, monkeypatch, tmp_path, capsys):
    config("model: {class_path: json.dumps}")
    Path("broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert run("fit", *words) == 2
    message = capsys.readouterr().err
    assert message.startswith("mine: error: ")
    assert message.count("error: ") == 1
    assert ("data" if words[0].startswith("--data") else "model") in message
    assert "Traceback" not in message
    assert not Path("runs").exists()
