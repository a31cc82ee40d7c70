import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest
from compared import assert_equal
from started import LAST, QUICK, RUN
from systems import needs_posix_files, needs_signals

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.cli import commands

MODULE = """
from lightning.pytorch import Callback
from blockstep.runs.epoch_report import EpochReport
from blockstep.base.errors import BadInputError


class Broken(EpochReport):
    def {hook}(self, trainer, pl_module):
        super().{hook}(trainer, pl_module)
        raise ValueError("no picture")


class Failing(Callback):
    def on_train_end(self, trainer, pl_module):
        raise ValueError("no summary")


class Setting(Callback):
    def on_train_end(self, trainer, pl_module):
        for weight in pl_module.parameters():
            weight.data = weight.data * 0


class Late(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise BadInputError("refused late.")
"""


@pytest.fixture
def module(monkeypatch, tmp_path):
    """Write the module above for a hook, and make it importable."""
    monkeypatch.syspath_prepend(tmp_path)
    return lambda hook: Path("own_parts.py").write_text(MODULE.replace("{hook}", hook))


@pytest.mark.parametrize("hook", ["on_train_start", "on_train_epoch_end", "on_train_end", "on_fit_end"])
def test_what_only_shows_something_fails_by_itself_and_the_status_says_so(hook, module, example, capsys):
    module(hook)
    words = ("--trainer.callbacks=own_parts.Broken", "--trainer.max_epochs=3")
    assert example("fit", *QUICK, *words) == 1
    said = capsys.readouterr()
    assert said.err.count("no picture") == 1
    assert f"Broken.{hook} failed: ValueError: no picture" in said.err
    assert "the run is complete and saved, but Broken failed" in said.err
    assert read_checkpoint(Path(LAST))["epoch"] == 3


LIMITS = {"at an epoch's end": "--trainer.max_epochs=3", "within an epoch": "--trainer.max_steps=14"}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_the_last_state_is_saved_before_a_callback_fails_at_the_end(limit, module, example, capsys):
    module("on_fit_end")
    assert example("fit", *QUICK, limit) == 0
    assert example("fit", *QUICK, limit, "--name=failing", "--trainer.callbacks=own_parts.Failing") == 1
    assert "no summary What was saved is kept." in capsys.readouterr().err
    weights = [read_checkpoint(Path(LAST.replace("/run/", f"/{name}/")))["state_dict"] for name in ("run", "failing")]
    assert_equal(*weights)


def test_weights_that_a_callback_sets_at_the_end_are_saved(module, example):
    module("on_fit_end")
    assert example("fit", *QUICK, "--trainer.callbacks=own_parts.Setting") == 0
    assert not any(weight.any() for weight in read_checkpoint(Path(LAST))["state_dict"].values())


GRAPHS = {
    "a forward pass that fails": "raise KeyError('no such input')",
    "a result that cannot be traced": "return object()",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", GRAPHS.values(), ids=GRAPHS)
def test_a_network_whose_graph_cannot_be_drawn_is_trained(body, example, monkeypatch, tmp_path, capsys):
    Path("own_network.py").write_text(
        "import torch\nfrom example.model import Classifier\n\n\nclass Own(Classifier):\n"
        f"    def forward(self, x):\n        if torch.jit.is_tracing():\n            {body}\n"
        "        return super().forward(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert example("fit", *QUICK, "--model=own_network.Own") == 1
    said = capsys.readouterr()
    assert said.err.count("RunEvents.log_graph failed: ") == 1
    assert "the run is complete and saved, but RunEvents failed" in said.err
    assert "No graph saved" not in said.out
    assert read_checkpoint(Path(LAST))["epoch"] == 1


def test_what_is_refused_after_something_was_saved_exits_with_1(module, example, capsys, monkeypatch):
    monkeypatch.setattr("blockstep.base.timed_logger.SECONDS_BETWEEN_WRITES", 0.0)
    module("on_fit_end")
    words = ("--trainer.callbacks=own_parts.Late", "--trainer.max_epochs=5")
    assert example("fit", *QUICK, *words) == 1
    assert "cannot go on: refused late. What was saved is kept." in capsys.readouterr().err


@needs_signals
def test_a_signal_between_building_a_run_and_starting_it_leaves_nothing(example, monkeypatch):
    fit = commands._fit

    def after_a_signal(cli):
        os.kill(os.getpid(), signal.SIGTERM)
        fit(cli)

    monkeypatch.setattr(commands, "_fit", after_a_signal)
    assert example("fit", *QUICK) == 143
    assert not Path("runs").exists()


def refuse_locks(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("blockstep.runs.run_folder.SECONDS_TO_WAIT", 0.1)


@needs_posix_files
def test_a_file_system_without_locks_is_named_and_nothing_is_left(example, monkeypatch, capsys):
    refuse_locks(monkeypatch)
    assert example("fit", *QUICK) == 2
    said = capsys.readouterr().err
    assert "trainer.default_root_dir must be on a file system that can lock files" in said
    assert "kept" not in said
    assert not RUN.exists()


@needs_posix_files
def test_a_run_on_a_file_system_without_locks_does_not_go_on(example, monkeypatch, capsys):
    assert example("fit", *QUICK) == 0
    refuse_locks(monkeypatch)
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 2
    assert "ckpt_path must be in a run's folder on a file system that can lock files" in capsys.readouterr().err


def test_a_value_of_a_megabyte_is_shortened_in_a_message(example, capsys):
    assert example("fit", f"--name={'x' * 1_000_000}") == 2
    assert len(capsys.readouterr().err) < 1500
