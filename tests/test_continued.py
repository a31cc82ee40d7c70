from pathlib import Path

import pytest
from conftest import config

from batchlab import run_lock
from batchlab.checkpoint import read_checkpoint

RUN = Path("runs/minibatch/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
QUICK = ("--data.num_validation=50", "--data.batch_size=100")


@pytest.fixture
def one_epoch(batchlab):
    """A run of one epoch."""
    assert batchlab("fit", *QUICK) == 0


@pytest.mark.parametrize("checkpoint", ["last", str(LAST)])
def test_a_run_goes_on_in_its_own_folder(checkpoint, one_epoch, batchlab):
    assert batchlab("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    assert [folder.name for folder in Path("runs/minibatch").iterdir()] == ["version_0"]
    assert read_checkpoint(LAST)["epoch"] == 3


@pytest.mark.slow
def test_its_config_says_how_long_it_became(one_epoch, batchlab):
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0
    assert "max_epochs: 3\n" in (RUN / "config.yaml").read_text()


@pytest.mark.slow
def test_last_is_of_the_run_trained_last(one_epoch, batchlab):
    assert batchlab("fit", *QUICK, "--name=other") == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert read_checkpoint(Path("runs/other/version_0/checkpoints/last.ckpt"))["epoch"] == 2


def test_the_settings_may_be_typed_again(one_epoch, batchlab):
    words = ("--config", config("minibatch"), *QUICK)
    assert batchlab("fit", *words, "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_without_any_run_there_is_no_last(batchlab, capsys):
    assert batchlab("fit", "--ckpt_path=last") == 2
    assert "ckpt_path=last needs a run with a checkpoint. Got none in 'runs'" in capsys.readouterr().err


def test_a_finished_run_says_what_to_raise(one_epoch, batchlab, capsys):
    assert batchlab("fit", "--ckpt_path=last") == 2
    assert f"trainer.max_epochs must be more than the 1 of {LAST}. Got 1." in capsys.readouterr().err


def test_a_finished_run_of_steps_says_what_to_raise(batchlab, capsys):
    assert batchlab("fit", *QUICK, "--trainer.max_steps=5", "--trainer.max_epochs=-1") == 0
    assert batchlab("fit", "--ckpt_path=last") == 2
    assert "trainer.max_steps must be more than the 5 of" in capsys.readouterr().err


def test_a_run_that_stopped_early_says_so(batchlab, capsys):
    stopping = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss")
    patience = ("--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=10")
    assert batchlab("fit", *QUICK, *stopping, *patience, "--trainer.max_epochs=9") == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=20") == 2
    assert "early stopping has ended the run" in capsys.readouterr().err


def test_a_run_that_stopped_after_its_first_epoch_says_so(batchlab, capsys):
    stopping = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss")
    assert (
        batchlab("fit", *QUICK, *stopping, "--trainer.callbacks.stopping_threshold=10", "--trainer.max_epochs=9") == 0
    )
    assert batchlab("fit", "--ckpt_path=last") == 2
    assert "early stopping has ended the run" in capsys.readouterr().err


def test_a_run_that_was_moved_goes_on_comparing_with_its_best(batchlab):
    wild = ("--model.optimizer.lr=5", "--trainer.max_epochs=4")  # a later epoch is worse than the best
    assert batchlab("fit", *QUICK, *wild) == 0
    best = read_checkpoint(RUN / "checkpoints" / "best.ckpt")
    assert best["global_step"] < read_checkpoint(LAST)["global_step"]
    moved = RUN.rename(RUN.parent / "version_7")
    last = moved / "checkpoints" / "last.ckpt"
    assert batchlab("fit", f"--ckpt_path={last}", "--trainer.max_epochs=5") == 0
    assert read_checkpoint(last)["epoch"] == 5
    assert read_checkpoint(moved / "checkpoints" / "best.ckpt")["global_step"] == best["global_step"]


def test_a_run_that_is_being_trained_is_left_alone(one_epoch, batchlab, capsys, monkeypatch):
    monkeypatch.setattr(run_lock, "SECONDS_TO_WAIT", 0.1)
    before = LAST.read_bytes()
    lock = run_lock.RunLock(RUN)
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 2
    assert "must be trained in by one process. Got '" in capsys.readouterr().err
    assert LAST.read_bytes() == before
    lock.release()
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_a_callback_with_a_default_that_is_no_text_can_go_on(batchlab):
    averaging = ("--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01")
    assert batchlab("fit", *QUICK, *averaging, "--trainer.max_epochs=3") == 0
    assert "Unable" not in (RUN / "config.yaml").read_text()
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=5") == 0


def test_changed_settings_are_named_and_refused(one_epoch, batchlab, capsys):
    words = ("--trainer.max_epochs=2", "--data.batch_size=50", "--model.optimizer.lr=0.5")
    before = LAST.read_bytes()
    assert batchlab("fit", "--ckpt_path=last", *words) == 2
    said = capsys.readouterr().err
    assert "data.batch_size was 100 and would be 50" in said
    assert "model.optimizer.init_args.lr was 0.01 and would be 0.5" in said
    assert LAST.read_bytes() == before


def test_changed_settings_go_on_in_a_new_folder_if_told(one_epoch, batchlab):
    words = ("--trainer.max_epochs=2", "--data.batch_size=50", "--allow_changes=true")
    assert batchlab("fit", "--ckpt_path=last", *words) == 0
    assert read_checkpoint(LAST)["epoch"] == 1
    assert read_checkpoint(Path("runs/minibatch/version_1/checkpoints/last.ckpt"))["epoch"] == 2


def test_any_other_checkpoint_starts_a_run_of_its_own(one_epoch, batchlab):
    assert batchlab("fit", f"--ckpt_path={RUN}/checkpoints/best.ckpt", *QUICK, "--trainer.max_epochs=2") == 0
    assert Path("runs/minibatch/version_1").exists()


@pytest.mark.slow
def test_a_run_that_ended_within_an_epoch_goes_on_with_its_next_step(batchlab):
    words = (*QUICK, "--data.shuffle=true", "--model.optimizer=SGD", "--model.optimizer.momentum=0.9")
    words = (*words, "--model.optimizer.lr=0.01")
    assert batchlab("fit", *words, "--name=whole", "--trainer.max_epochs=3") == 0
    assert batchlab("fit", *words, "--name=part", "--trainer.max_epochs=3", "--trainer.max_steps=17") == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    whole, part = (read_checkpoint(Path(f"runs/{n}/version_0/checkpoints/last.ckpt")) for n in ("whole", "part"))
    assert all((value == part["state_dict"][key]).all() for key, value in whole["state_dict"].items())


def test_a_run_that_goes_on_is_not_removed_by_bad_input(one_epoch, batchlab):
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2", "--trainer.precision=nonsense") == 2
    assert LAST.exists()
