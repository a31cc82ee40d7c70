import re
from pathlib import Path

import pytest
import torch
from started import LAST, QUICK, RUN, start

PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"

# By what is wrong: the arguments, and what the message must say about the rule and about the value.
BAD = {
    "unknown command": (["train"], "command", "'train'"),
    "config before the command": (["--config", "x.yaml", "fit"], "the command comes first", "--config"),
    "unknown key": (["fit", "--data.batchsize=3"], "unrecognized arguments", "--data.batchsize=3"),
    "unknown key in a config": (["fit", "--config=unknown.yaml"], "batchsize", "unknown.yaml|data"),
    "LightningCLI's own optimizer key": (["fit", "--optimizer=Adam"], "unrecognized arguments", "--optimizer=Adam"),
    "a key cut short": (["fit", "--trainer.max_ep=2"], "unrecognized", "--trainer.max_ep=2"),
    "wrong type": (["fit", "--model.width=wide"], "model.width", "wide"),
    "a fraction for a whole number": (["fit", "--data.batch_size=2.5"], "data.batch_size", "2.5"),
    "a number that the data refuse": (["fit", "--data.batch_size=0"], "batch_size must be at least 1", "Got 0"),
    "negative block size": (["fit", "--data.block_size=-1"], "block_size must be", "Got -1"),
    "negative seed": (["fit", "--seed_everything=-1"], "seed_everything must be at least 0", "Got -1"),
    "a seed in letters": (["fit", "--seed_everything=x"], "seed_everything must be a whole number", "Got 'x'"),
    "a logger misspelt": (
        ["fit", "--trainer.logger=CSVLoger"],
        "trainer.logger must be the name of a class",
        "CSVLogger",
    ),
    "a number for a list": (
        ["fit", "--model.optimizer=Adam", "--model.optimizer.betas=3"],
        "model.optimizer.betas must be a list",
        "3",
    ),
    "no epochs": (["fit", "--trainer.max_epochs=0"], "trainer.max_epochs must not be 0", "Got 0"),
    "no steps": (["fit", "--trainer.max_steps=0"], "trainer.max_steps must not be 0", "Got 0"),
    "no batches": (["fit", "--trainer.limit_train_batches=0"], "limit_train_batches must not be 0", "Got 0"),
    "a time without colons": (["fit", "--trainer.max_time=5"], "trainer.max_time must be days, hours", "Got '5'"),
    "a time of other units": (["fit", '--trainer.max_time={"moons": 1}'], "trainer.max_time must be days", "moons"),
    "no time": (["fit", "--trainer.max_time=00:00:00:00"], "trainer.max_time must be .* above 0", "00:00:00:00"),
    "a negative time": (["fit", '--trainer.max_time={"minutes": -1}'], "trainer.max_time must be .* above 0", "-1"),
    "negative epochs": (["fit", "--trainer.max_epochs=-2"], "max_epochs", "-2"),
    "threads 0": (["fit", "--threads=0"], "threads must be at least 1", "Got 0"),
    "more threads than processors": (
        ["fit", "--threads=100000"],
        "threads must be at least 1",
        "Got 100000",
    ),
    "lines every 0 epochs": (["fit", "--epoch_report.print_every_n_epochs=0"], "print_every_n_epochs", "Got 0"),
    "unknown optimizer": (["fit", "--model.optimizer=Sgdd"], "model.optimizer", "Sgdd"),
    "a function as optimizer": (["fit", "--model.optimizer=json.dumps"], "model.optimizer", "json.dumps"),
    "negative learning rate": (["fit", "--model.optimizer.lr=-1"], "model.optimizer.*learning rate", "-1"),
    "momentum out of range": (["fit", "--model.optimizer.momentum=-1"], "momentum", "-1"),
    "betas out of range": (["fit", "--model.optimizer=Adam", "--model.optimizer.betas=[2,3]"], "model.optimizer", "2"),
    "an optimizer for sparse gradients": (["fit", "--model.optimizer=SparseAdam"], "SparseAdam", "dense gradients"),
    "blocks for LBFGS": (["fit", "--model.optimizer=LBFGS"], "data.block_size", "LBFGS"),
    "blocks of accumulated gradients": (["fit", "--trainer.accumulate_grad_batches=2"], "data.block_size", "=2"),
    "a scheduler that divides by 0": (
        ["fit", "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=0"],
        "ZeroDivisionError",
        "modulo by zero",
    ),
    "a scheduler that watches what is not logged": (
        ["fit", f"--model.lr_scheduler={PLATEAU}", "--trainer.limit_val_batches=0"],
        "ReduceLROnPlateau",
        "val/loss",
    ),
    "early stopping by what is not logged": (
        ["fit", "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/los"],
        "Early stopping conditioned on metric",
        "val/los",
    ),
    "a validation that is never reached": (["fit", "--trainer.val_check_interval=1000"], "val_check_interval", "1000"),
    "a run that may keep nothing": (["fit", "--trainer.barebones=true"], "trainer.barebones must be false", "Got true"),
    "more data than memory holds": (["fit", "--data.num_training=1000000000000000"], "Error", "allocate"),
    "missing config": (["fit", "--config=nowhere.yaml"], "config", "nowhere.yaml"),
    "config that does not parse": (["fit", "--config=broken.yaml"], "config", "expected"),
    "a config without keys": (["fit", "--config=number.yaml"], "config", "data|mapping"),
    "a config whose trainer has no keys": (["fit", "--config=trainer.yaml"], "trainer in a config must be", "Got 5"),
    "a config that is not text": (["fit", "--config=binary.yaml"], "config", "utf-8|binary.yaml"),
    "impossible name": (["fit", "--name=../away"], "name must be a folder's name", "'../away'"),
    "runs folder is a file": (["fit", "--trainer.default_root_dir=broken.yaml"], "default_root_dir", "broken.yaml"),
    "no checkpoint to test": (["test"], "ckpt_path must be given", "random weights"),
    "missing checkpoint": (["test", "--ckpt_path=nowhere.ckpt"], "ckpt_path must be", "'nowhere.ckpt'"),
    "a folder as checkpoint": (["fit", "--ckpt_path=."], "ckpt_path must be a checkpoint's file", "is a folder"),
    "an empty name of a checkpoint": (["fit", "--ckpt_path="], "ckpt_path must be a checkpoint's file", "is a folder"),
    "checkpoint that is text": (["validate", "--ckpt_path=broken.yaml"], "ckpt_path must be", "broken.yaml"),
    "checkpoint of another program": (["fit", "--ckpt_path=other.ckpt"], "ckpt_path must be", "other.ckpt"),
}


@pytest.mark.parametrize(("words", "rule", "value"), BAD.values(), ids=BAD)
def test_bad_input_exits_2_with_one_message_and_leaves_nothing(words, rule, value, example, capsys):
    Path("broken.yaml").write_text("data: [1,\n")
    Path("unknown.yaml").write_text("data: {batchsize: 3}\n")
    Path("number.yaml").write_text("data: 5\n")
    Path("trainer.yaml").write_text("trainer: 5\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    torch.save({"weights": torch.zeros(3)}, "other.ckpt")
    before = sorted(Path().iterdir())
    assert example(*words) == 2
    message = capsys.readouterr().err
    assert message.startswith("example: error: ")
    assert message.count("error: ") == 1
    assert "Traceback" not in message
    assert len(message) < 1500
    for pattern in (rule, value):
        assert re.search(pattern, message)
    assert sorted(Path().iterdir()) == before


@pytest.mark.slow
def test_the_message_goes_to_standard_error_and_nothing_to_standard_output():
    done = start("fit", "--data.batch_size=0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "example: error: batch_size must be at least 1. Got 0 instead.\n"


def test_the_traceback_of_an_error_is_shown_if_asked_for(example, monkeypatch):
    monkeypatch.setenv("BLOCKSTEP_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        example("fit", *QUICK, "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=0")


@pytest.mark.parametrize("name", ["last", "best"])
def test_another_optimizer_for_a_checkpoint_is_refused_since_the_checkpoints_own_would_go_on(name, example, capsys):
    assert example("fit", *QUICK) == 0
    words = ("--model.optimizer.lr=0.005", "--trainer.max_epochs=2", "--allow_changes=true")
    assert example("fit", f"--ckpt_path={RUN}/checkpoints/{name}.ckpt", *words) == 2
    assert "model.optimizer must be left out" in capsys.readouterr().err


def test_a_checkpoint_of_another_network_is_refused(example, capsys):
    assert example("fit", *QUICK, "--model.width=4") == 0
    assert example("test", "--ckpt_path", LAST, "--model.width=9") == 2
    assert "the model must be the one that" in capsys.readouterr().err
