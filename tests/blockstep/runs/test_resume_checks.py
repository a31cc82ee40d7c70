import re
from pathlib import Path

import pytest

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs import run_folder
from blockstep.runs.run_mark import MARK, finished_at

RUN = Path("runs/run/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
QUICK = ("--data.num_validation=50", "--data.batch_size=100")


@pytest.fixture
def one_epoch(example):
    """A run of one epoch."""
    assert example("fit", *QUICK) == 0


@pytest.mark.parametrize("checkpoint", ["last", str(LAST)])
def test_a_run_goes_on_in_its_own_folder(checkpoint, one_epoch, example):
    assert example("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    assert [folder.name for folder in RUN.parent.iterdir()] == ["version_0"]
    assert read_checkpoint(LAST)["epoch"] == 3


def test_the_config_of_a_resumed_run_has_its_new_length(one_epoch, example):
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0
    assert "max_epochs: 3\n" in (RUN / "config.yaml").read_text()


def test_last_means_the_run_that_was_trained_last(one_epoch, example):
    assert example("fit", *QUICK, "--name=other") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert read_checkpoint(Path("runs/other/version_0/checkpoints/last.ckpt"))["epoch"] == 2


def test_the_same_settings_may_be_given_again(example):
    Path("mine.yaml").write_text("data: {num_validation: 50}\nmodel: {optimizer: {class_path: Adam}}\n")
    words = ("--config=mine.yaml", "--data.batch_size=100")
    assert example("fit", *words) == 0
    assert example("fit", *words, "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_without_any_run_there_is_nothing_to_resume(example, capsys):
    assert example("fit", "--ckpt_path=last") == 2
    assert "ckpt_path=last needs a run with a checkpoint. Got none in 'runs'" in capsys.readouterr().err


def test_a_run_that_has_all_its_epochs_is_refused_and_the_limit_named(one_epoch, example, capsys):
    assert example("fit", "--ckpt_path=last") == 2
    said = capsys.readouterr().err
    assert re.search(rf"error: the run in {RUN} is finished, since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC: ", said)
    assert f"trainer.max_epochs must be more than the 1 of {LAST}. Got 1. " in said
    assert "To go on, add for example --trainer.max_epochs 2." in said


def test_a_run_that_goes_on_is_not_finished_any_more_until_it_ends(one_epoch, example):
    first = finished_at(RUN)
    (RUN / MARK).write_text((RUN / MARK).read_text().replace("Finished at 2", "Finished at 1"))
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert finished_at(RUN) >= first


def test_a_run_that_has_stopped_early_goes_on_as_its_refusal_says(example, capsys):
    patience = ("--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=10")
    assert example("fit", *QUICK, *STOPPING, *patience) == 0
    more = (*STOPPING, "--trainer.callbacks.patience=3", "--allow_changes=true")  # a checkpoint has its own patience
    assert example("fit", "--ckpt_path=last", *more) == 2
    assert "add --trainer.callbacks null --allow_changes true." in capsys.readouterr().err
    assert example("fit", "--ckpt_path=last", "--trainer.callbacks", "null", "--allow_changes", "true") == 0
    assert read_checkpoint(Path("runs/run/version_1/checkpoints/last.ckpt"))["epoch"] == 9


def test_a_run_that_has_all_its_steps_is_refused_and_the_limit_named(example, capsys):
    assert example("fit", *QUICK, "--trainer.max_steps=5", "--trainer.max_epochs=-1") == 0
    assert example("fit", "--ckpt_path=last") == 2
    assert "trainer.max_steps must be more than the 5 of" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_finished_checkpoint_without_its_config_is_refused_and_leaves_nothing(name, one_epoch, example, capsys):
    LAST.with_name(name).rename("moved.ckpt")
    assert example("fit", "--ckpt_path=moved.ckpt", *QUICK) == 2
    assert "trainer.max_epochs must be more than the 1 of moved.ckpt. Got 1." in capsys.readouterr().err
    assert [folder.name for folder in RUN.parent.iterdir()] == ["version_0"]


STOPPING = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--trainer.max_epochs=9")


def test_a_run_that_has_stopped_early_is_refused_and_the_reason_named(example, capsys):
    patience = ("--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=10")
    assert example("fit", *QUICK, *STOPPING, *patience) == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=20") == 2
    assert "early stopping has ended the run" in capsys.readouterr().err


def test_a_run_that_has_stopped_early_goes_on_without_the_callback(example):
    assert example("fit", *QUICK, *STOPPING, "--trainer.callbacks.stopping_threshold=10") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.callbacks=null", "--allow_changes=true") == 0
    assert read_checkpoint(RUN.with_name("version_1") / "checkpoints" / "last.ckpt")["epoch"] == 9


def test_a_run_that_has_stopped_after_its_first_epoch_is_refused_and_the_reason_named(example, capsys):
    assert example("fit", *QUICK, *STOPPING, "--trainer.callbacks.stopping_threshold=10") == 0
    assert example("fit", "--ckpt_path=last") == 2
    assert "early stopping has ended the run" in capsys.readouterr().err


def test_a_run_that_was_moved_goes_on_comparing_with_its_best_state(example):
    worse_every_epoch = ("--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.maximize=true")
    assert example("fit", *QUICK, *worse_every_epoch, "--trainer.max_epochs=2") == 0
    assert read_checkpoint(RUN / "checkpoints" / "best.ckpt")["global_step"] == 11
    moved = RUN.rename(RUN.parent / "version_7")
    last = moved / "checkpoints" / "last.ckpt"
    assert example("fit", f"--ckpt_path={last}", "--trainer.max_epochs=3") == 0
    assert read_checkpoint(last)["epoch"] == 3
    assert read_checkpoint(moved / "checkpoints" / "best.ckpt")["global_step"] == 11


def test_a_run_is_trained_by_one_process_at_a_time(one_epoch, example, capsys, monkeypatch):
    monkeypatch.setattr(run_folder, "SECONDS_TO_WAIT", 0.1)
    before = LAST.read_bytes()
    folder = run_folder.RunFolder(RUN, is_new=False)
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 2
    assert "must be trained in by one process. Got '" in capsys.readouterr().err
    assert LAST.read_bytes() == before
    folder.release()
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_a_run_with_a_callback_whose_default_cannot_be_written_as_text_can_go_on(example):
    averaging = ("--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01")
    assert example("fit", *QUICK, *averaging, "--trainer.max_epochs=3") == 0
    assert "Unable" not in (RUN / "config.yaml").read_text()
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=5") == 0


def test_changed_settings_are_refused_and_named(one_epoch, example, capsys):
    before = LAST.read_bytes()
    assert example("fit", "--ckpt_path=last", "--data.batch_size=50", "--model.optimizer.lr=0.5") == 2
    said = capsys.readouterr().err
    assert "data.batch_size was 100 and would be 50" in said
    assert "model.optimizer.init_args.lr was 0.1 and would be 0.5" in said
    assert LAST.read_bytes() == before


def test_with_allow_changes_changed_settings_go_on_in_a_new_folder(one_epoch, example):
    words = ("--trainer.max_epochs=2", "--data.batch_size=50", "--allow_changes=true")
    assert example("fit", "--ckpt_path=last", *words) == 0
    assert read_checkpoint(LAST)["epoch"] == 1
    assert read_checkpoint(Path("runs/run/version_1/checkpoints/last.ckpt"))["epoch"] == 2


def test_a_scheduler_cannot_be_added_to_a_resumed_run_even_with_allow_changes(one_epoch, example, capsys):
    words = ("--model.lr_scheduler=ExponentialLR", "--model.lr_scheduler.gamma=0.9", "--allow_changes=true")
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2", *words) == 2
    assert "model.lr_scheduler must be left out" in capsys.readouterr().err


def test_any_checkpoint_but_the_last_starts_a_new_run(one_epoch, example):
    assert example("fit", f"--ckpt_path={RUN}/checkpoints/best.ckpt", *QUICK, "--trainer.max_epochs=2") == 0
    assert Path("runs/run/version_1").exists()


def test_a_run_that_ended_within_an_epoch_goes_on_with_its_next_step(example):
    words = (*QUICK, "--data.shuffle=true", "--model.optimizer=SGD", "--model.optimizer.momentum=0.9")
    words = (*words, "--model.optimizer.lr=0.01", "--trainer.max_epochs=3")
    assert example("fit", *words, "--name=whole") == 0
    assert example("fit", *words, "--name=part", "--trainer.max_steps=17") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    whole, part = (read_checkpoint(Path(f"runs/{n}/version_0/checkpoints/last.ckpt")) for n in ("whole", "part"))
    assert all((value == part["state_dict"][key]).all() for key, value in whole["state_dict"].items())


def test_bad_input_does_not_remove_a_resumed_run(one_epoch, example):
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2", "--trainer.precision=nonsense") == 2
    assert LAST.exists()


def test_a_run_without_a_limit_has_lightnings_and_is_finished_after_it(example, capsys):
    small = ("--data.num_training=10", "--data.num_validation=5", "--trainer.limit_val_batches=0")
    assert example("fit", *small, "--trainer.max_epochs=1000") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=null") == 2
    assert "trainer.max_epochs must be more than the 1000 of" in capsys.readouterr().err


def test_a_run_whose_time_has_passed_is_finished(example, capsys):
    words = ("--data.num_validation=50", "--trainer.max_epochs=100000", "--trainer.max_time=00:00:00:01")
    assert example("fit", *words) == 0
    assert example("fit", "--ckpt_path=last") == 2
    said = capsys.readouterr().err
    assert "is finished, since" in said
    assert "add for example --trainer.max_time 00:00:01:0" in said


def test_a_number_that_is_written_otherwise_in_an_edited_config_is_what_the_parser_reads(example, capsys):
    assert example("fit", "--data.num_validation=50", "--data.num_training=100") == 0
    config = Path("runs/run/version_0/config.yaml")
    config.write_text(config.read_text().replace("num_training: 100", "num_training: 0144"))
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 2
    assert "data.num_training was 100 and would be '0144'" in capsys.readouterr().err
