import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from batchlab import __version__
from batchlab.cli import COMMANDS
from batchlab.model import BinaryClassifier

RUN = Path("runs/minibatch/version_0")
LAST = str(RUN / "checkpoints" / "last.ckpt")
QUICK = ("--data.num_validation=50", "--data.num_test=50", "--data.batch_size=100")


def process(*words, **environment):
    """batchlab in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "batchlab", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=120,
    )


def metrics(folder=RUN):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def last_loss(folder=RUN):
    return [row["train/last_batch_loss"] for row in metrics(folder) if row["train/last_batch_loss"]][-1]


# What a person types first


def test_without_arguments_the_commands_are_listed(batchlab, capsys):
    assert batchlab() == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


def test_the_version_is_said(batchlab, capsys):
    assert batchlab("--version") == 0
    assert capsys.readouterr().out == f"batchlab {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, batchlab, capsys):
    with pytest.raises(SystemExit) as stop:
        batchlab(command, "--help")
    assert stop.value.code == 0
    assert f"usage: batchlab {command}" in capsys.readouterr().out


def test_every_key_of_ours_is_explained(batchlab, capsys):
    with pytest.raises(SystemExit):
        batchlab("predict", "--help")
    text = capsys.readouterr().out
    for part in text.split("\n  --")[1:]:
        key, _, rest = part.partition("\n")
        if key.startswith(("data.", "model.", "epoch_report.", "seed_", "threads", "name", "ckpt_path", "output")):
            assert len((key + rest).split()) > 12, f"--{key} has no help"


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own_prints_its_lines_and_nothing_else():
    done = process("fit", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["training", "validation", "epoch", "run"]


@pytest.mark.slow
def test_bad_input_in_a_process_of_its_own_exits_2_with_a_message_on_standard_error():
    done = process("fit", "--data.batch_size=0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "batchlab: error: batch_size must be at least 1. Got 0 instead.\n"


def test_printed_config_is_yaml_that_a_person_can_read(batchlab, capsys):
    with pytest.raises(SystemExit) as stop:
        batchlab("fit", "--print_config")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Unable to serialize" not in text
    printed = yaml.safe_load(text)
    assert printed["data"]["batch_size"] == 10
    assert printed["model"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert printed["model"]["optimizer"]["init_args"]["lr"] == 0.01


def test_the_default_optimizer_is_the_models_own(batchlab):
    assert batchlab("fit", *QUICK) == 0
    saved = yaml.safe_load((RUN / "config.yaml").read_text())["model"]["optimizer"]["init_args"]
    optimizer = BinaryClassifier().configure_optimizers()
    assert {key: optimizer.defaults[key] for key in saved} == saved


# What a run leaves behind


def test_a_run_folder_has_what_the_readme_lists(batchlab):
    assert batchlab("fit", *QUICK) == 0
    names = {str(path.relative_to(RUN)) for path in RUN.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"} <= names
    assert sum(name.startswith("events.out.tfevents") for name in names) == 1


@pytest.mark.slow
def test_without_validation_there_is_no_best_checkpoint(batchlab):
    assert batchlab("fit", *QUICK, "--trainer.limit_val_batches=0") == 0
    assert [path.name for path in (RUN / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_last_is_the_last_epoch_and_best_the_one_of_lowest_regret(batchlab):
    words = ("--model.optimizer.lr=0.5", "--trainer.max_epochs=8", "--data.num_validation=500", "--data.batch_size=50")
    assert batchlab("fit", *words) == 0
    regrets = [float(row["val/regret"]) for row in metrics() if row["val/regret"]]
    steps = {
        name: torch.load(RUN / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("last", "best")
    }
    assert steps == {"last": 8 * 22, "best": (1 + int(np.argmin(regrets))) * 22}


def test_tensorboard_gets_every_tag_under_its_name(batchlab):
    assert batchlab("fit", *QUICK) == 0
    tags = EventAccumulator(str(RUN)).Reload().Tags()
    validation = {"val/loss", "val/regret", "val/auroc", "val/average_precision"}
    assert validation | {"train/loss", "train/last_batch_loss", "time/epoch_sec"} <= set(tags["scalars"])
    assert "hp_metric" not in tags["scalars"]
    assert set(tags["images"]) == {"decision/contour", "training_events", "decision/exact_posterior"}


def test_the_saved_config_repeats_the_run_digit_for_digit(batchlab):
    assert batchlab("fit", *QUICK, "--seed_everything=7", "--model.hidden=8", "--data.shuffle=true") == 0
    assert batchlab("fit", "--config", str(RUN / "config.yaml")) == 0
    assert last_loss() == last_loss(RUN.with_name("version_1"))


@pytest.mark.slow
def test_the_saved_config_does_not_resume(batchlab):
    assert batchlab("fit", *QUICK) == 0
    assert batchlab("fit", "--ckpt_path", LAST, "--trainer.max_epochs=2") == 0
    assert yaml.safe_load((RUN / "config.yaml").read_text())["ckpt_path"] is None


def test_without_a_logger_there_are_still_a_config_and_checkpoints(batchlab):
    for _ in range(2):
        assert batchlab("fit", *QUICK, "--trainer.logger=false") == 0
    assert sorted(path.name for path in RUN.with_name("version_1").iterdir()) == [".lock", "checkpoints", "config.yaml"]


def test_a_logger_of_ones_own_is_used_instead(batchlab):
    Path("own.yaml").write_text(
        "trainer: {logger: {class_path: CSVLogger, init_args: {save_dir: elsewhere, name: mine}}}\n"
    )
    assert batchlab("fit", *QUICK, "--config", "own.yaml") == 0
    assert metrics(Path("elsewhere/mine/version_0"))
    assert not (RUN / "metrics.csv").exists()


# From a checkpoint


@pytest.fixture
def trained(batchlab, capsys):
    assert batchlab("fit", *QUICK, "--model.hidden=8", "--model.optimizer=Adam", "--model.optimizer.lr=0.02") == 0
    capsys.readouterr()


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command", ["validate", "test"])
def test_evaluations_know_the_checkpoints_model_and_data(command, batchlab, capsys):
    assert batchlab(command, "--ckpt_path", LAST) == 0
    out = capsys.readouterr().out
    assert f"{command.removesuffix('ate').replace('valid', 'validation')} data: x (50, 2)" in out
    assert "regret" in out


@pytest.mark.usefixtures("trained")
def test_validation_repeats_the_runs_last_figures(batchlab, capsys):
    assert batchlab("validate", "--ckpt_path", LAST) == 0
    (regret,) = [row["val/regret"] for row in metrics() if row["val/regret"]]
    assert regret in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_evaluations_leave_no_folder(batchlab):
    before = set(Path().rglob("*"))
    assert batchlab("test", "--ckpt_path", LAST) == 0
    assert set(Path().rglob("*")) == before


@pytest.mark.usefixtures("trained")
def test_predictions_are_a_table_of_positions_and_probabilities(batchlab):
    assert batchlab("predict", "--ckpt_path", LAST, "--output=table.csv") == 0
    assert Path("table.csv").read_text().startswith("x1,x2,probability\n")
    table = torch.from_numpy(np.loadtxt("table.csv", delimiter=",", skiprows=1, dtype=np.float32))
    model = BinaryClassifier.load_from_checkpoint(LAST)
    assert table.shape == (50, 3)
    torch.testing.assert_close(torch.sigmoid(model(table[:, :2]))[:, 0], table[:, 2])


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_the_command_line_beats_the_checkpoint(batchlab):
    words = ("--data.batch_size=55", "--trainer.max_epochs=2", "--allow_changes=true")
    assert batchlab("fit", "--ckpt_path", LAST, *words) == 0
    saved = yaml.safe_load((RUN.with_name("version_1") / "config.yaml").read_text())
    assert saved["model"]["optimizer"]["class_path"].endswith("Adam")
    assert (saved["model"]["hidden"], saved["data"]["batch_size"]) == (8, 55)


@pytest.mark.usefixtures("trained")
def test_a_checkpoint_for_another_network_is_refused(batchlab, capsys):
    assert batchlab("test", "--ckpt_path", LAST, "--model.hidden=9") == 2
    assert "model.hidden and model.depth must be the checkpoint's." in capsys.readouterr().err


# Lightning's own switches


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.fast_dev_run=2"],
        ["--trainer.overfit_batches=2"],
        ["--trainer.limit_train_batches=3"],
        ["--trainer.limit_val_batches=1"],
        ["--trainer.max_steps=5"],
        ["--trainer.val_check_interval=5"],
        ["--trainer.detect_anomaly=true"],
        ["--trainer.enable_checkpointing=false"],
        ["--trainer.enable_model_summary=true"],
        ["--trainer.enable_progress_bar=true"],
        ["--trainer.gradient_clip_val=1"],
        ["--trainer.accumulate_grad_batches=2", "--data.block_size=1"],
        ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"],
    ],
    ids=lambda words: words[0].removeprefix("--"),
)
def test_lightnings_switches_work(words, batchlab):
    assert batchlab("fit", *QUICK, *words) == 0


def test_a_fast_dev_run_leaves_nothing_behind(batchlab):
    assert batchlab("fit", *QUICK, "--trainer.fast_dev_run=true") == 0
    assert list(Path().iterdir()) == []


def test_the_profilers_report_is_shown(batchlab, caplog):
    assert batchlab("fit", *QUICK, "--trainer.profiler=simple") == 0
    assert "run_training_epoch" in caplog.text


def test_threads_are_set_for_torch_and_for_every_process_started_from_it(batchlab):
    assert batchlab("fit", *QUICK, "--threads=2", "--data.num_workers=1") == 0
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"


def test_one_thread_is_the_default(batchlab):
    assert batchlab("fit", *QUICK) == 0
    assert (torch.get_num_threads(), torch.get_num_interop_threads()) == (1, 1)
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_fits(path, batchlab):
    assert batchlab("fit", "--config", str(path), *QUICK, "--trainer.max_epochs=1") == 0


OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.one_of(st.none(), st.integers(1, 300)),
    num_signal=st.integers(0, 40),
    num_background=st.integers(1, 120),
    hidden=st.integers(1, 80),
    depth=st.integers(1, 7),
    optimizer=st.sampled_from(OPTIMIZERS),
    lr=st.floats(1e-6, 0.1),
    shuffle=st.booleans(),
    block_size=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.filterwarnings("ignore:No positive samples")
def test_random_valid_configurations_fit(batchlab, **drawn):
    optimizer, lr = drawn.pop("optimizer"), drawn.pop("lr")
    model = [f"--model.{key}={drawn.pop(key)}" for key in ("hidden", "depth")]
    data = [f"--data.{key}={'null' if value is None else str(value).lower()}" for key, value in drawn.items()]
    words = [*model, f"--model.optimizer={optimizer}", f"--model.optimizer.lr={lr}", *data]
    assert batchlab("fit", *words, "--data.num_validation=50") == 0


@pytest.mark.slow
@pytest.mark.parametrize(("block_size", "strategy"), [(0, "ddp"), (1, "ddp"), (0, "ddp_fork")])
def test_two_processes_give_the_numbers_of_one_at_the_same_global_batch_size(block_size, strategy):
    words = ("fit", "--data.num_validation=500", "--trainer.max_epochs=2", f"--data.block_size={block_size}")
    for name, more in (("one", ()), ("two", ("--trainer.devices=2", f"--trainer.strategy={strategy}"))):
        done = process(*words, f"--name={name}", *more)
        assert done.returncode == 0, done.stderr
    assert [path.name for path in Path("runs/two").iterdir()] == ["version_0"]
    one, two = (metrics(Path("runs") / name / "version_0") for name in ("one", "two"))
    for key in ("train/loss", "val/loss", "val/regret"):
        numbers = [[float(row[key]) for row in rows if row[key]] for rows in (one, two)]
        assert len(numbers[0]) == 2
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-3)


def test_what_is_refused_after_the_training_leaves_the_run_whole(batchlab, monkeypatch, tmp_path):
    Path("own.py").write_text(
        "from batchlab.errors import BadInputError\n"
        "from lightning.pytorch import Callback\n"
        "class Refuses(Callback):\n"
        "    def on_fit_end(self, trainer, pl_module):\n"
        "        raise BadInputError('too late')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert batchlab("fit", *QUICK, "--trainer.callbacks+=own.Refuses") == 2
    assert (RUN / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_predictions_in_two_processes_are_refused_rather_than_halved():
    assert process("fit", *QUICK).returncode == 0
    done = process("predict", "--ckpt_path=last", "--trainer.devices=2", "--trainer.strategy=ddp")
    assert done.returncode == 2
    assert "trainer.devices must be 1 to predict" in done.stderr


# Bad input

BAD = {
    "unknown command": (["train"], "command", "'train'"),
    "config before the command": (["--config", "x.yaml", "fit"], "the command comes first", "--config"),
    "unknown key": (["fit", "--data.batchsize=3"], "unrecognized arguments", "--data.batchsize=3"),
    "unknown key in a config": (["fit", "--config=unknown.yaml"], "batchsize", "unknown.yaml|data"),
    "LightningCLI's own optimizer key": (["fit", "--optimizer=Adam"], "unrecognized arguments", "--optimizer=Adam"),
    "wrong type": (["fit", "--model.hidden=wide"], "model.hidden", "wide"),
    "batch size 0": (["fit", "--data.batch_size=0"], "batch_size must be at least 1", "Got 0"),
    "negative batch size": (["fit", "--data.batch_size=-3"], "batch_size must be at least 1", "Got -3"),
    "fractional batch size": (["fit", "--data.batch_size=2.5"], "data.batch_size", "2.5"),
    "negative signal": (["fit", "--data.num_signal=-1"], "num_signal must be at least 0", "Got -1"),
    "negative background": (["fit", "--data.num_background=-1"], "num_background must be at least 0", "Got -1"),
    "no events": (["fit", "--data.num_signal=0", "--data.num_background=0"], "num_signal .* at least 1", "Got 0"),
    "too few validation events": (["fit", "--data.num_validation=1"], "num_validation must be at least 2", "Got 1"),
    "negative workers": (["fit", "--data.num_workers=-1"], "num_workers must be at least 0", "Got -1"),
    "negative seed": (["fit", "--seed_everything=-1"], "seed_everything", "-1 does not conform"),
    "data seed too large": (["fit", "--data.seed=4294967296"], "seed must be at most", "4294967296"),
    "learning rate 0": (["fit", "--model.optimizer.lr=0"], "lr must be a positive", "Got 0.0"),
    "negative learning rate": (["fit", "--model.optimizer.lr=-1"], "learning rate|lr must", "-1"),
    "learning rate nan": (["fit", "--model.optimizer.lr=.nan"], "lr must be a positive", "Got nan"),
    "momentum out of range": (["fit", "--model.optimizer.momentum=-1"], "momentum", "-1"),
    "depth 0": (["fit", "--model.depth=0"], "depth must be at least 1", "Got 0"),
    "width 0": (["fit", "--model.hidden=0"], "hidden must be at least 1", "Got 0"),
    "unknown optimizer": (["fit", "--model.optimizer=Sgdd"], "model.optimizer", "Sgdd"),
    "a function as optimizer": (["fit", "--model.optimizer=json.dumps"], "model.optimizer", "json.dumps"),
    "missing config": (["fit", "--config=nowhere.yaml"], "config", "nowhere.yaml"),
    "config that does not parse": (["fit", "--config=broken.yaml"], "config", "expected"),
    "negative block size": (["fit", "--data.block_size=-1"], "block_size must be at least 0", "Got -1"),
    "blocks with an optimizer that needs single steps": (
        ["fit", "--model.optimizer=LBFGS"],
        "data.block_size",
        "LBFGS",
    ),
    "blocks of accumulated gradients": (["fit", "--trainer.accumulate_grad_batches=2"], "data.block_size", "=2"),
    "threads 0": (["fit", "--threads=0"], "threads", "0 does not conform to restriction v>=1"),
    "more threads than processors": (["fit", "--threads=100000"], "threads", "100000 does not conform"),
    "a key cut short": (["fit", "--trainer.max_ep=2"], "unrecognized", "--trainer.max_ep=2"),
    "a config without keys": (["fit", "--config=number.yaml"], "config", "data|mapping"),
    "a config whose trainer has no keys": (["fit", "--config=trainer.yaml"], "trainer in a config must be", "Got 5"),
    "a config that is no text": (["fit", "--config=binary.yaml"], "config", "utf-8|binary.yaml"),
    "betas out of range": (["fit", "--model.optimizer=Adam", "--model.optimizer.betas=[2,3]"], "model.optimizer", "2"),
    "a folder as checkpoint": (["fit", "--ckpt_path=."], "ckpt_path must be a checkpoint's file", "is a folder"),
    "no checkpoint's name": (["fit", "--ckpt_path="], "ckpt_path must be a checkpoint's file", "is a folder"),
    "a run that may keep nothing": (["fit", "--trainer.barebones=true"], "trainer.barebones must be false", "Got true"),
    "a validation that never comes": (["fit", "--trainer.val_check_interval=1000"], "val_check_interval", "1000"),
    "a scheduler that divides by 0": (
        ["fit", "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=0"],
        "ZeroDivisionError",
        "modulo by zero",
    ),
    "an optimizer for sparse gradients": (["fit", "--model.optimizer=SparseAdam"], "SparseAdam", "dense gradients"),
    "early stopping by what is not logged": (
        ["fit", "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/los"],
        "Early stopping conditioned on metric",
        "val/los",
    ),
    "a schedule by what is not logged": (
        ["fit", "--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "--trainer.limit_val_batches=0"],
        "ReduceLROnPlateau",
        "val/loss",
    ),
    "more events than memory holds": (["fit", "--data.num_signal=1000000000000000"], "MemoryError", "allocate"),
    "negative epochs": (["fit", "--trainer.max_epochs=-2"], "max_epochs", "-2"),
    "impossible name": (["fit", "--name=../away"], "name must be a folder's name", "'../away'"),
    "runs folder is a file": (["fit", "--trainer.default_root_dir=broken.yaml"], "default_root_dir", "broken.yaml"),
    "figures every 0 epochs": (["fit", "--epoch_report.figure_every_n_epochs=0"], "figure_every_n_epochs", "Got 0"),
    "unknown figure style": (["fit", "--epoch_report.figure_style=pink"], "epoch_report.figure_style", "pink"),
    "no checkpoint to test": (["test"], "ckpt_path must be given", "random weights"),
    "missing checkpoint": (["test", "--ckpt_path=nowhere.ckpt"], "ckpt_path must be", "'nowhere.ckpt'"),
    "checkpoint that is text": (["validate", "--ckpt_path=broken.yaml"], "ckpt_path must be", "broken.yaml"),
    "checkpoint of something else": (["fit", "--ckpt_path=foreign.ckpt"], "ckpt_path must be", "foreign.ckpt"),
    "compare with a missing config": (["compare", "nowhere.yaml"], "config", "nowhere.yaml"),
    "compare with an unclear option": (["compare", "--trainer.max_epochs", "2"], "--KEY=VALUE", "--trainer.max_epochs"),
    "compare with an unknown key": (["compare", "--trainer.epochs=2"], "unrecognized", "--trainer.epochs=2"),
}


@pytest.mark.parametrize(("words", "rule", "value"), BAD.values(), ids=BAD)
def test_bad_input_exits_2_with_one_message_and_leaves_nothing(words, rule, value, batchlab, capsys):
    Path("broken.yaml").write_text("data: [1,\n")
    Path("unknown.yaml").write_text("data: {batchsize: 3}\n")
    Path("number.yaml").write_text("data: 5\n")
    Path("trainer.yaml").write_text("trainer: 5\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    torch.save({"weights": torch.zeros(3)}, "foreign.ckpt")
    before = sorted(Path().iterdir())
    assert batchlab(*words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("batchlab: error: ")
    assert "Traceback" not in captured.err
    assert len(captured.err) < 1500
    for pattern in (rule, value):
        assert re.search(pattern, captured.err)
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("name", ["last", "best"])
def test_another_optimizer_on_resuming_is_refused_since_the_old_one_would_go_on(name, batchlab, capsys):
    words = ("--model.optimizer.lr=0.005", "--trainer.max_epochs=2", "--allow_changes=true")
    assert batchlab("fit", f"--ckpt_path={RUN}/checkpoints/{name}.ckpt", *words) == 2
    assert "model.optimizer must be left out" in capsys.readouterr().err


def test_the_traceback_of_an_unforeseen_error_is_shown_on_request(batchlab, monkeypatch):
    monkeypatch.setenv("BATCHLAB_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        batchlab("fit", *QUICK, "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=0")


def test_a_single_callback_needs_no_list(batchlab):
    assert batchlab("fit", *QUICK, "--trainer.callbacks=LearningRateMonitor") == 0
    assert "lr-SGD" in metrics()[0]


@pytest.mark.usefixtures("trained")
def test_predictions_for_a_folder_that_is_not_there_are_refused(batchlab, capsys):
    assert batchlab("predict", "--ckpt_path", LAST, "--output=nowhere/table.csv") == 2
    assert "output must be a file in a folder that exists" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_predictions_go_to_the_file_that_a_link_leads_to(batchlab):
    Path("elsewhere").mkdir()
    Path("table.csv").symlink_to(Path("elsewhere/real.csv"))
    assert batchlab("predict", "--ckpt_path", LAST, "--output=table.csv") == 0
    assert Path("table.csv").is_symlink()
    assert Path("elsewhere/real.csv").read_text().startswith("x1,x2,probability\n")


@pytest.mark.usefixtures("trained")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such devices")
@pytest.mark.parametrize("output", ["/dev/null", "pipe", "link"])
def test_predictions_never_replace_what_is_no_file(output, batchlab, capsys):
    os.mkfifo("pipe")
    Path("link").symlink_to("/dev/null")
    assert batchlab("predict", "--ckpt_path", LAST, f"--output={output}") == 2
    assert "output must be a file in a folder that exists" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()
    assert Path("pipe").is_fifo()


@pytest.mark.usefixtures("trained")
def test_a_run_goes_on_from_within_its_own_folder(batchlab, monkeypatch):
    monkeypatch.chdir(RUN / "checkpoints")
    assert batchlab("fit", "--ckpt_path=last.ckpt", "--trainer.max_epochs=2") == 0
    assert not Path("runs").exists()
    assert torch.load("last.ckpt", weights_only=True)["epoch"] == 2


# Config files are data

SHELL = "{class_path: os.system, init_args: {command: mkdir harm}}"
KNOCK = "{class_path: knock.knock, init_args: {}}"
EXECUTING = {
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
}


@pytest.mark.parametrize("spec", [SHELL, KNOCK], ids=["a shell", "a function of one's own"])
@pytest.mark.parametrize(("config", "key"), EXECUTING.values(), ids=EXECUTING)
def test_a_config_that_names_a_function_for_a_class_is_refused_and_calls_nothing(
    config, key, spec, batchlab, monkeypatch, tmp_path, capsys
):
    Path("knock.py").write_text("import os\n\ndef knock():\n    os.mkdir('harm')\n")
    Path("config.yaml").write_text(config % spec)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "knock", raising=False)
    assert batchlab("fit", "--config=config.yaml") == 2
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
def test_a_class_of_another_kind_is_refused(words, batchlab, capsys):
    assert batchlab("fit", *words) == 2
    assert words[0][2:].partition("=")[0] in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_where_any_value_will_do_a_class_is_not_built(batchlab, monkeypatch, tmp_path):
    Path("anything.py").write_text(
        "import os\nfrom typing import Any\nfrom lightning.pytorch import Callback\n\n"
        "class Knock:\n    def __init__(self):\n        os.mkdir('harm')\n\n"
        "class Taker(Callback):\n    def __init__(self, value: Any = None):\n        self.value = value\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    callback = "{class_path: anything.Taker, init_args: {value: {class_path: anything.Knock}}}"
    assert batchlab("fit", *QUICK, f"--trainer.callbacks={callback}") == 0
    assert not Path("harm").exists()


@pytest.mark.parametrize("words", [["--config=bomb.yaml"], ["--trainer=bomb.yaml"]], ids=" ".join)
def test_a_config_whose_aliases_explode_is_refused_at_once(words, batchlab, capsys):
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    Path("bomb.yaml").write_text("\n".join(["a0: &a0 [x]", *rows, "trainer: {callbacks: *a9}"]))
    assert batchlab("fit", *words) == 2
    assert "at most 2000 values" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["bomb.yaml"]


def test_a_config_that_holds_itself_is_refused(batchlab, capsys):
    Path("endless.yaml").write_text("trainer: &a {callbacks: [*a]}")
    assert batchlab("fit", "--config=endless.yaml") == 2
    assert "at most 2000 values" in capsys.readouterr().err


def test_aliases_are_written_out(batchlab):
    Path("config.yaml").write_text("data: {num_validation: &n 60, batch_size: *n, num_signal: *n}")
    assert batchlab("fit", "--config=config.yaml") == 0
    assert yaml.safe_load((RUN / "config.yaml").read_text())["data"]["num_signal"] == 60
