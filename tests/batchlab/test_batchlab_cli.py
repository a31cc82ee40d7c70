import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import run_process
from shipped import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from batchlab import __version__
from batchlab.cli import APPLICATION
from batchlab.model import BinaryClassifier
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs.csv_logger import read_rows

RUN = Path("runs/minibatch/version_0")
LAST = str(RUN / "checkpoints" / "last.ckpt")
QUICK = ("--name=minibatch", "--data.num_validation=50", "--data.num_test=50", "--data.batch_size=100")


def start(*words, **environment):
    """Run a command in a process of its own, to its end."""
    return run_process("batchlab", *words, **environment)


def logged(key, folder=RUN):
    """The values of a column of a run's table, as text."""
    return [row[key] for row in read_rows(folder / "metrics.csv") if row.get(key)]


def test_without_arguments_the_lessons_own_commands_are_listed_too(batchlab, capsys):
    assert batchlab() == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("fit", *APPLICATION.commands))


def test_the_version_is_that_of_the_package(batchlab, capsys):
    assert batchlab("--version") == 0
    assert capsys.readouterr().out == f"batchlab {__version__}\n"


def test_every_key_is_explained(batchlab, capsys):
    with pytest.raises(SystemExit):
        batchlab("fit", "--help=all")
    for part in capsys.readouterr().out.split("\n  --")[1:]:
        key, _, rest = part.partition("\n")
        if key.startswith(("data.", "model.", "epoch_report.")) and "optimizer." not in key:  # torch's, which are short
            assert len((key + rest).split()) > 12, f"--{key} has no help"


def test_the_defaults_are_the_notebooks(batchlab, capsys):
    with pytest.raises(SystemExit):
        batchlab("fit", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["name"], printed["trainer"]["max_epochs"]) == (None, 1)
    assert (printed["data"]["batch_size"], printed["data"]["num_signal"]) == (10, 100)
    assert (printed["model"]["hidden"], printed["model"]["depth"]) == (64, 5)
    assert printed["model"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert printed["model"]["optimizer"]["init_args"]["lr"] == 0.01


NAMES = {
    (): "minibatch",
    ("--data.batch_size=1",): "online",
    ("--data.batch_size=null",): "batch",
    ("--data.batch_size=32",): "batch_size_32",
    ("--model.optimizer=Adam",): "adam",
    ("--config=online",): "online",
    ("--config=online", "--model.hidden=8"): "online-hidden_8",
    ("--config=converged",): "converged",
}


@pytest.mark.parametrize(("words", "name"), NAMES.items(), ids=NAMES.values())
def test_a_run_is_named_by_its_regime_and_by_what_differs(words, name, batchlab):
    short = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2")
    assert batchlab("fit", *words, *short) == 0
    assert [path.name for path in Path("runs").iterdir()] == [name]


@pytest.mark.slow
def test_a_run_prints_the_sizes_of_its_data_and_a_line_for_its_epoch():
    done = start("fit", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert words == ["training", "validation", "epoch", "val/regret:", "stopped:", "run"]


def test_a_fit_ends_with_its_regret_against_the_limit(batchlab, capsys):
    assert batchlab("fit", *QUICK, "--trainer.max_epochs=2") == 0
    said = capsys.readouterr().out.splitlines()[-3]
    assert re.fullmatch(r"val/regret: 0\.\d+ in epoch 1, the last and the best \(the limit is 0\)", said)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_fits(path, batchlab):
    assert batchlab("fit", "--config", str(path), *QUICK, "--trainer.max_epochs=1") == 0


def test_the_saved_config_repeats_the_run_digit_for_digit(batchlab):
    assert batchlab("fit", *QUICK, "--seed_everything=7", "--model.hidden=8", "--data.shuffle=true") == 0
    assert batchlab("fit", "--config", str(RUN / "config.yaml")) == 0
    assert logged("train/last_batch_loss") == logged("train/last_batch_loss", RUN.with_name("version_1"))


def test_tensorboard_gets_the_lessons_metrics_and_pictures(batchlab):
    assert batchlab("fit", *QUICK) == 0
    tags = EventAccumulator(str(RUN)).Reload().Tags()
    assert {"val/loss", "val/regret", "val/auroc", "val/average_precision"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"decision/contour", "training_events", "decision/exact_posterior"}


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_lowest_regret(batchlab):
    words = (
        "--name=minibatch",
        "--model.optimizer.lr=0.5",
        "--trainer.max_epochs=8",
        "--data.num_validation=500",
        "--data.batch_size=50",
    )
    assert batchlab("fit", *words, "--name=minibatch") == 0
    regrets = [float(regret) for regret in logged("val/regret")]
    steps = {name: read_checkpoint(RUN / "checkpoints" / f"{name}.ckpt")["global_step"] for name in ("last", "best")}
    assert steps == {"last": 8 * 22, "best": (1 + int(np.argmin(regrets))) * 22}


@pytest.mark.parametrize(("command", "name"), [("validate", "validation"), ("test", "test")])
def test_an_evaluation_prints_the_size_of_its_data_and_the_regret(command, name, batchlab, capsys):
    assert batchlab("fit", *QUICK, "--model.hidden=8") == 0
    capsys.readouterr()
    assert batchlab(command, "--ckpt_path", LAST) == 0
    out = capsys.readouterr().out
    assert f"{name} data: x (50, 2)" in out
    assert "regret" in out


def test_predictions_are_a_table_of_positions_probabilities_and_labels(batchlab):
    assert batchlab("fit", *QUICK, "--model.hidden=8") == 0
    assert batchlab("predict", "--ckpt_path", LAST, "--output=table.csv") == 0
    assert Path("table.csv").read_text().startswith("x1,x2,probability,label\n")
    table = torch.from_numpy(np.loadtxt("table.csv", delimiter=",", skiprows=1, dtype=np.float32))
    model = BinaryClassifier.load_from_checkpoint(LAST)
    assert table.shape == (50, 4)
    torch.testing.assert_close(torch.sigmoid(model(table[:, :2]))[:, 0], table[:, 2])


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.one_of(st.none(), st.integers(1, 300)),
    num_signal=st.integers(0, 40),
    num_background=st.integers(1, 120),
    hidden=st.integers(1, 80),
    depth=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.filterwarnings("ignore:No positive samples")
def test_random_valid_settings_fit(batchlab, **drawn):
    model = [f"--model.{key}={drawn.pop(key)}" for key in ("hidden", "depth")]
    data = [f"--data.{key}={'null' if value is None else value}" for key, value in drawn.items()]
    assert batchlab("fit", *model, *data, "--data.num_validation=50") == 0


@pytest.mark.slow
def test_two_processes_without_blocks_give_the_numbers_of_one_at_the_same_global_batch_size():
    words = ("fit", "--data.num_validation=501", "--trainer.max_epochs=2", "--data.block_size=1")
    for name, more in (("one", ()), ("two", ("--trainer.devices=2", "--trainer.strategy=ddp"))):
        done = start(*words, f"--name={name}", *more)
        assert done.returncode == 0, done.stderr
    one, two = (Path("runs") / name / "version_0" for name in ("one", "two"))
    for key in ("train/loss", "val/loss", "val/regret", "val/auroc", "val/average_precision"):
        numbers = [[float(value) for value in logged(key, folder)] for folder in (one, two)]
        assert len(numbers[0]) == 2
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-3)


@pytest.mark.slow
def test_two_processes_give_the_scores_of_one_for_equal_weights():
    assert start("fit", "--name=minibatch", "--data.num_validation=501").returncode == 0
    scores = []
    for more in ((), ("--trainer.devices=2", "--trainer.strategy=ddp")):
        done = start("validate", f"--ckpt_path={LAST}", *more)
        assert done.returncode == 0, done.stderr
        scores.append(
            {name: float(value) for name, value in re.findall(r"(val/\w+)\W+([\d.]+(?:e-\d+)?)", done.stdout)}
        )
    assert len(scores[0]) == 4
    assert scores[1] == pytest.approx(scores[0], rel=1e-6)
    for area in ("val/auroc", "val/average_precision"):
        assert scores[1][area] == scores[0][area]


# By what is wrong: the arguments, and what the message must say about the rule and about the value.
BAD = {
    "batch size 0": (["fit", "--data.batch_size=0"], "batch_size must be at least 1", "Got 0"),
    "negative batch size": (["fit", "--data.batch_size=-3"], "batch_size must be at least 1", "Got -3"),
    "fractional batch size": (["fit", "--data.batch_size=2.5"], "data.batch_size", "2.5"),
    "negative block size": (["fit", "--data.block_size=-1"], "block_size must be at least 0", "Got -1"),
    "negative signal": (["fit", "--data.num_signal=-1"], "num_signal must be at least 0", "Got -1"),
    "negative background": (["fit", "--data.num_background=-1"], "num_background must be at least 0", "Got -1"),
    "no events": (["fit", "--data.num_signal=0", "--data.num_background=0"], "num_signal .* at least 1", "Got 0"),
    "more events than memory holds": (["fit", "--data.num_signal=1000000000000000"], "MemoryError", "allocate"),
    "too few validation events": (["fit", "--data.num_validation=1"], "num_validation must be at least 2", "Got 1"),
    "negative workers": (["fit", "--data.num_workers=-1"], "num_workers must be at least 0", "Got -1"),
    "data seed too large": (["fit", "--data.seed=4294967296"], "seed must be at most", "4294967296"),
    "learning rate 0": (["fit", "--model.optimizer.lr=0"], "lr must be a positive", "Got 0.0"),
    "negative learning rate": (["fit", "--model.optimizer.lr=-1"], "learning rate|lr must", "-1"),
    "learning rate nan": (["fit", "--model.optimizer.lr=.nan"], "lr must be a positive", "Got nan"),
    "depth 0": (["fit", "--model.depth=0"], "depth must be at least 1", "Got 0"),
    "width 0": (["fit", "--model.hidden=0"], "hidden must be at least 1", "Got 0"),
    "wrong type": (["fit", "--model.hidden=wide"], "model.hidden", "wide"),
    "figures every 0 epochs": (["fit", "--epoch_report.figure_every_n_epochs=0"], "figure_every_n_epochs", "Got 0"),
    "unknown figure scale": (["fit", "--epoch_report.figure_scale=own_"], "epoch_report.figure_scale", "own_"),
    "unknown figure style": (["fit", "--epoch_report.figure_style=pink"], "epoch_report.figure_style", "pink"),
    "compare with a missing config": (["compare", "nowhere.yaml"], "config", "nowhere.yaml"),
    "compare with an unclear option": (["compare", "--trainer.max_epochs"], "--KEY VALUE", "--trainer.max_epochs"),
    "compare with an unknown key": (["compare", "--trainer.epochs=2"], "unrecognized", "--trainer.epochs=2"),
}


@pytest.mark.parametrize(("words", "rule", "value"), BAD.values(), ids=BAD)
def test_bad_input_exits_2_with_one_message_and_leaves_nothing(words, rule, value, batchlab, capsys):
    assert batchlab(*words) == 2
    message = capsys.readouterr().err
    assert message.startswith("batchlab: error: ")
    assert "Traceback" not in message
    assert len(message) < 1500
    for pattern in (rule, value):
        assert re.search(pattern, message)
    assert list(Path().iterdir()) == []
