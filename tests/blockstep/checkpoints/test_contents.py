import shutil
from pathlib import Path

import pytest
import torch
from example.cli import main

from blockstep.base.errors import BadInputError
from blockstep.checkpoints import contents
from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO, read_checkpoint

LAST = Path("runs/run/version_0/checkpoints/last.ckpt")
WORDS = (
    "--data.num_validation=50",
    "--data.batch_size=100",
    "--trainer.max_epochs=2",
    "--model.optimizer=Adam",
    "--model.optimizer.lr=0.01",
    "--model.lr_scheduler=StepLR",
    "--model.lr_scheduler.step_size=1",
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/loss",
)
STOPPING = "EarlyStopping{'monitor': 'val/loss', 'mode': 'min'}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The runs folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["example", "fit", *WORDS])
        assert main() == 0
    return folder / "runs"


@pytest.fixture(autouse=True)
def _a_copy(trained):
    shutil.copytree(trained, "runs")


def tree():
    """The files of the runs, and their contents."""
    return {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}


GONE = object()


def change(path, key, value):
    """Write the checkpoint with another value at a key, or without it."""
    content = part = read_checkpoint(LAST)
    *parents, last = (int(name) if name.isdecimal() else name for name in key.split(" > "))
    for name in parents:
        part = part[name]
    part[last] = value
    if value is GONE:
        del part[last]
    ChecksummedCheckpointIO().save_checkpoint(content, path)


FIT = "loops > fit_loop"
ADAM = "optimizer_states > 0"
GROUP = f"{ADAM} > param_groups > 0"
STATE = f"{ADAM} > state > 0"
STEP_LR = "lr_schedulers > 0"
WEIGHT = "state_dict > network.0.weight"
CHANGES = {
    "no optimizers": ("optimizer_states", GONE, "optimizer_states must be there"),
    "fewer optimizers": ("optimizer_states", [], "optimizer_states must be of [4] parameters"),
    "an empty optimizer": (f"{ADAM} > state", {}, "optimizer_states must be of [4] parameters"),
    "a parameter without a state": (STATE, GONE, "optimizer_states must be of [4] parameters"),
    "no groups": (f"{ADAM} > param_groups", [], "optimizer_states.0.param_groups must have 1 entries"),
    "a negative lr": (f"{GROUP} > lr", -1.0, "param_groups.0.lr must not be negative. Got -1.0"),
    "a nan lr": (f"{GROUP} > lr", float("nan"), "param_groups.0.lr must be a finite number. Got nan"),
    "an infinite lr": (f"{GROUP} > lr", float("inf"), "param_groups.0.lr must be a finite number. Got inf"),
    "an lr in words": (f"{GROUP} > lr", "fast", "param_groups.0.lr must be a number. Got 'fast'"),
    "no lr": (f"{GROUP} > lr", GONE, "param_groups.0.lr must be there"),
    "a beta out of range": (f"{GROUP} > betas", (1.5, 0.9), "Invalid beta parameter at index 0: 1.5"),
    "one beta": (f"{GROUP} > betas", (0.9,), "param_groups.0.betas must have 2 entries"),
    "a switch as a number": (f"{GROUP} > maximize", 1, "param_groups.0.maximize must be true or false"),
    "an option of another optimizer": (f"{GROUP} > momentum", 0.9, "Got 'momentum' too"),
    "other parameters": (f"{GROUP} > params", [0, 1, 2, 7], "param_groups.0.params must be [0, 1, 2, 3]"),
    "parameters in another order": (f"{GROUP} > params", [1, 0, 2, 3], "param_groups.0.params must be [0, 1, 2, 3]"),
    "a state of another optimizer": (f"{STATE} > momentum_buffer", torch.zeros(8, 2), "Got 'momentum_buffer' too"),
    "half a state": (f"{STATE} > exp_avg_sq", GONE, "optimizer_states.0.state.0.exp_avg_sq must be there"),
    "a state of one number": (f"{STATE} > exp_avg", torch.zeros(1), "exp_avg must be a tensor of shape (8, 2)"),
    "a state of another shape": (f"{STATE} > exp_avg", torch.zeros(2, 8), "Got one of (2, 8)"),
    "a state of another type": (f"{STATE} > exp_avg", torch.zeros(8, 2).double(), "(8, 2) and torch.float64"),
    "a state that is no tensor": (f"{STATE} > exp_avg", 0.0, "exp_avg must be a tensor. Got 0.0"),
    "negative steps of a parameter": (f"{STATE} > step", torch.tensor(-1.0), "state.0.step must not be negative"),
    "no schedulers": ("lr_schedulers", [], "lr_schedulers must have 1 entries. Got 0"),
    "a scheduler's method": (f"{STEP_LR} > step", 1, "lr_schedulers.0 must have the keys"),
    "a scheduler's number in words": (f"{STEP_LR} > gamma", "x", "lr_schedulers.0.gamma must be a number. Got 'x'"),
    "a scheduler without rates": (f"{STEP_LR} > base_lrs", [], "lr_schedulers.0.base_lrs must have 1 entries"),
    "a scheduler in a negative epoch": (
        f"{STEP_LR} > last_epoch",
        -2,
        "lr_schedulers.0.last_epoch must not be negative",
    ),
    "a scheduler without its epoch": (f"{STEP_LR} > last_epoch", GONE, "lr_schedulers.0.last_epoch must be there"),
    "a scheduler that divides by 0": (f"{STEP_LR} > step_size", 0, "lr_schedulers.0.step_size must be more than 0"),
    "no loops": ("loops", GONE, "loops must be there"),
    "no fit loop": (FIT, GONE, "loops.fit_loop must be there"),
    "no progress": (f"{FIT} > epoch_progress", GONE, "loops.fit_loop.epoch_progress must be there"),
    "a negative count": (
        f"{FIT} > epoch_progress > current > completed",
        -1,
        "must be a whole number from 0 on. Got -1",
    ),
    "a count in words": (
        f"{FIT} > epoch_progress > total > ready",
        "1",
        "epoch_progress.total.ready must be a whole number",
    ),
    "an attribute of a progress": (f"{FIT} > epoch_progress > reset", 1, "epoch_progress must have the keys"),
    "no loader": (f"{FIT} > state_dict > combined_loader", GONE, "combined_loader must have 1 entries. Got 0"),
    "fewer steps": ("global_step", 21, "global_step must be that of loops.fit_loop, 22. Got 21"),
    "negative steps": ("global_step", -1, "global_step must be a whole number from 0 on. Got -1"),
    "another epoch": ("epoch", 0, "epoch must be that of loops.fit_loop, 2. Got 0"),
    "half an epoch": ("epoch", 1.5, "epoch must be a whole number from 0 on. Got 1.5"),
    "no callbacks": ("callbacks", GONE, "callbacks must be there"),
    "an emptied callback": (f"callbacks > {STOPPING}", {}, "must have 6 keys. Got 0"),
    "an emptied random state": ("callbacks > ExactResume", {}, "callbacks.ExactResume must have 5 keys. Got 0"),
    "more completed than started": (f"{FIT} > epoch_progress > total > started", 0, "in falling order"),
    "more now than in all": (
        f"{FIT} > epoch_loop.batch_progress > total",
        {"ready": 1, "started": 1, "processed": 1, "completed": 1},
        "epoch_loop.batch_progress.current.ready must be at most the total",
    ),
    "an epoch without its end": (f"{FIT} > epoch_loop.batch_progress > is_last_batch", False, "is_last_batch must be"),
    "an option that the device lacks": (f"{GROUP} > capturable", True, "param_groups.0 must have arguments that Adam"),
    "a timer in words": ("callbacks > Timer", {"time_elapsed": 5}, "callbacks.Timer.time_elapsed must be a mapping"),
    "a config that is no mapping": ("blockstep > config", "[1]", "must be the config of"),
    "empty callbacks": ("callbacks", {}, "callbacks.EventsSeen must be there"),
    "a callback without its state": ("callbacks > ExactResume", GONE, "callbacks.ExactResume must be there"),
    "a random state of zeros": ("callbacks > ExactResume > torch", torch.zeros(5056, dtype=torch.uint8), "ExactResume"),
    "a random state without a number": (
        "callbacks > ExactResume > numpy",
        ["MT19937", torch.zeros(624), 1],
        "ExactResume",
    ),
    "a random state of another size": ("callbacks > ExactResume > python", [3, torch.zeros(5), None], "ExactResume"),
    "negative events": (
        "callbacks > EventsSeen > events",
        -4,
        "callbacks.EventsSeen.events must be a whole number from 0 on",
    ),
    "a best score in words": (
        "callbacks > BestCheckpoint > best_model_score",
        "a",
        "best_model_score must be a number",
    ),
    "a patience in words": (f"callbacks > {STOPPING} > wait_count", "a", "wait_count must be a number. Got 'a'"),
    "no metrics": ("callback_metrics", GONE, "callback_metrics must be there"),
    "a metric in words": ("callback_metrics > val/loss", "a", "callback_metrics.val/loss must be a number"),
    "half a mean": ("block_training", {"loss_sum": 1.0}, "block_training.loss_rows must be there"),
    "weights of another type": (WEIGHT, torch.zeros(8, 2).double(), "state_dict.network.0.weight must be a tensor"),
    "weights that are whole numbers": (WEIGHT, torch.zeros(8, 2).int(), "state_dict.network.0.weight"),
    "weights of another shape": (WEIGHT, torch.zeros(2, 8), "state_dict.network.0.weight"),
    "sparse weights": (WEIGHT, torch.zeros(8, 2).to_sparse(), "state_dict.network.0.weight"),
    "weights without memory": (WEIGHT, torch.zeros(8, 2, device="meta"), "state_dict.network.0.weight"),
    "another weight": ("state_dict > more", torch.zeros(1), "state_dict.more"),
    "no weight": (WEIGHT, GONE, "state_dict.network.0.weight"),
    "a version that is none": ("pytorch-lightning_version", "new", "pytorch-lightning_version must be"),
    "no provenance": ("blockstep > config", GONE, "blockstep.config must be there"),
}


@pytest.mark.parametrize(("key", "value", "said"), CHANGES.values(), ids=CHANGES)
def test_a_run_whose_checkpoint_lacks_what_it_must_hold_is_refused_and_left_as_it_was(
    key, value, said, example, capsys
):
    change(LAST, key, value)
    before = tree()
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("error:") == 1
    assert tree() == before


ELSEWHERE = ["a nan lr", "a state of one number", "a scheduler's method", "no loops", "a random state of zeros"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_new_run_that_would_start_from_such_a_checkpoint_is_refused_and_leaves_nothing(name, example, capsys):
    change("moved.ckpt", *CHANGES[name][:2])
    before = tree()
    assert example("fit", "--ckpt_path=moved.ckpt", *WORDS, "--trainer.max_epochs=3") == 2
    assert CHANGES[name][2] in capsys.readouterr().err
    assert tree() == before


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_evaluation_of_a_checkpoint_that_lacks_what_it_must_hold_is_refused(command, example, capsys):
    change(LAST, "loops", GONE)
    assert example(command, f"--ckpt_path={LAST}", "--data.num_test=50") == 2
    assert "loops must be there" in capsys.readouterr().err


def test_a_position_in_the_data_that_is_negative_is_refused(example, capsys):
    assert example("fit", *WORDS[:2], "--name=within", "--trainer.max_steps=5") == 0
    shutil.copy("runs/within/version_0/checkpoints/last.ckpt", LAST)
    change("moved.ckpt", f"{FIT} > state_dict > combined_loader > 0 > position", -5)
    assert example("fit", "--ckpt_path=moved.ckpt", *WORDS[:2]) == 2
    assert "batch_progress must be at -5 batches. Got 5" in capsys.readouterr().err
    assert not Path("runs/run/version_1").exists()


def test_an_optimizer_that_has_forgotten_its_steps_is_refused_also_where_the_list_of_states_agrees(example, capsys):
    content = read_checkpoint(LAST)
    content["optimizer_states"][0]["state"] = {}
    content["blockstep"]["optimizer_states"] = [0]
    ChecksummedCheckpointIO().save_checkpoint(content, LAST)
    before = tree()
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 2
    assert "optimizer_states.0.state must not be empty after 22 steps" in capsys.readouterr().err
    assert tree() == before


def deep(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


def doubled(times):
    value = [0]
    for _ in range(times):
        value = [value, value]
    return value


def test_a_checkpoint_with_too_many_levels_is_refused():
    change("deep.ckpt", "mine", deep(contents.MOST_LEVELS))
    with pytest.raises(BadInputError, match="has more than 50 levels of lists and mappings"):
        read_checkpoint(Path("deep.ckpt"))


def test_a_small_checkpoint_with_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(contents, "MOST_VALUES", 100_000)
    change("wide.ckpt", "mine", doubled(40))
    with pytest.raises(BadInputError, match="has more than 100000 values"):
        read_checkpoint(Path("wide.ckpt"))


def test_what_a_model_saves_beside_that_is_left_alone(example):
    change(LAST, "mine", {"a": deep(40), 1: torch.zeros(2), "b": (None, "c")})
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0


def test_a_value_of_a_megabyte_is_shortened_in_the_message():
    change(LAST, "epoch", "x" * 1_000_000)
    with pytest.raises(BadInputError, match="epoch must be") as refused:
        read_checkpoint(LAST)
    assert len(str(refused.value)) < 1500
