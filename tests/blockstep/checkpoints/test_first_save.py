from pathlib import Path

import pytest

from blockstep.checkpoints.checkpoint_file import read_checkpoint

LAST = Path("runs/run/version_0/checkpoints/last.ckpt")
QUICK = ("--data.num_validation=50", "--data.batch_size=100", "--trainer.max_epochs=2")

CULPRITS = """
from pathlib import Path

from example.data import Points
from example.model import Classifier
from lightning.pytorch import Callback


class Model(Classifier):
    def on_save_checkpoint(self, checkpoint):
        checkpoint["mine"] = {"a": 1, "where": [0, Path("x")]}


class Forgetful(Classifier):
    def on_save_checkpoint(self, checkpoint):
        del checkpoint["optimizer_states"]


class Data(Points):
    def state_dict(self):
        return {"where": Path("x")}


class Note(Callback):
    def state_dict(self):
        return {"note": Note}


class Function(Callback):
    def state_dict(self):
        return {"note": lambda: 0}
"""

SAVED = {
    "by the model": ("--model=culprits.Model", "mine.where.1, a PosixPath"),
    "by a model that removes what training needs": (
        "--model=culprits.Forgetful",
        "a checkpoint that does not hold what it must: optimizer_states must be there",
    ),
    "by the data": ("--data=culprits.Data", "Data.where, a PosixPath"),
    "by a callback": ("--trainer.callbacks+=culprits.Note", "callbacks.Note.note, a type"),
    "by a callback, which cannot even be written": (
        "--trainer.callbacks+=culprits.Function",
        "callbacks.Function.note, a function",
    ),
}


@pytest.mark.parametrize(("word", "named"), SAVED.values(), ids=SAVED)
def test_a_run_whose_checkpoints_could_not_be_read_back_ends_at_the_first_and_leaves_nothing(
    word, named, example, capsys
):
    Path("culprits.py").write_text(CULPRITS)
    assert example("fit", *QUICK, word) == 2
    said = capsys.readouterr().err
    assert "what a run saves must be data" in said
    assert f"Got {named} instead" in said.replace("WindowsPath", "PosixPath")
    assert not Path("runs").exists()


def test_a_run_that_goes_on_and_could_not_be_read_back_keeps_the_checkpoints_that_it_has(example):
    Path("culprits.py").write_text(CULPRITS)
    assert example("fit", *QUICK) == 0
    before = LAST.read_bytes()
    words = ("--trainer.callbacks+=culprits.Note", "--trainer.max_epochs=3", "--allow_changes=true")
    assert example("fit", f"--ckpt_path={LAST}", *words) == 2
    assert LAST.read_bytes() == before
    assert [path.name for path in Path("runs/run").iterdir()] == ["version_0"]


def test_a_callback_may_save_weights_alone(example):
    words = ("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_weights_only=true")
    assert example("fit", *QUICK, *words, "--trainer.callbacks.every_n_train_steps=1") == 0


def test_no_trial_is_left(example):
    assert example("fit", *QUICK) == 0
    assert sorted(path.name for path in LAST.parent.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert read_checkpoint(LAST)["epoch"] == 2
