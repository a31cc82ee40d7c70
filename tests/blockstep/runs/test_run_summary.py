"""What a fit says at its end."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from example.cli import APPLICATION

RUN = Path("runs/run/version_0")
QUICK = ("--data.num_validation=50", "--data.batch_size=100")
BEST = RUN / "checkpoints" / "best.ckpt"
WORSE = ("--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.maximize=true")  # with every epoch


@pytest.fixture
def ending(example, capsys):
    """The lines that a fit prints after those of its epochs."""

    def run(*words, application=None):
        capsys.readouterr()
        main = example if application is None else lambda *given: application.main(list(given))
        assert main("fit", *words) == 0
        return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("epoch")]

    return run


def test_a_fit_ends_with_its_metric_why_it_stopped_and_where_its_checkpoint_and_its_folder_are(ending):
    metric, stopped, folder = ending(*QUICK)
    assert re.fullmatch(r"val/loss: 0\.\d+ in epoch 0", metric)
    assert stopped == f"stopped: its one epoch is done; best checkpoint: {BEST}"
    assert folder == f"run folder: {RUN}"
    assert BEST.is_file()


def test_an_overfitted_model_is_told_by_its_best_and_its_last_value(ending):
    metric, stopped, _ = ending(*QUICK, *WORSE, "--trainer.max_epochs=3")
    best, last = re.fullmatch(r"val/loss: best (\S+) in epoch 0, last (\S+) in epoch 2", metric).groups()
    assert float(best) < float(last)
    assert "all 3 epochs are done" in stopped


def test_a_best_value_at_the_end_is_said_once(ending):
    metric, *_ = ending(*QUICK, "--trainer.max_epochs=2")
    assert re.fullmatch(r"val/loss: \S+ in epoch 1, the last and the best", metric)


def test_of_a_resumed_run_the_epochs_before_count_too(ending):
    ending(*QUICK, *WORSE, "--trainer.max_epochs=2")
    metric, *_ = ending("--ckpt_path=last", "--trainer.max_epochs=3")
    assert re.fullmatch(r"val/loss: best \S+ in epoch 0, last \S+ in epoch 2", metric)


def test_a_limit_that_is_known_is_said(ending):
    metric, *_ = ending(*QUICK, application=replace(APPLICATION, limit=0.125))
    assert metric.endswith(" in epoch 0 (the limit is 0.125)")


def test_the_limit_of_a_metric_that_was_not_logged_is_not_said_of_another(ending):
    metric, *_ = ending(*QUICK, application=replace(APPLICATION, monitor="val/other", limit=0.125))
    assert re.fullmatch(r"val/loss: \S+ in epoch 0", metric)


def test_of_a_metric_whose_larger_values_are_better_the_largest_is_the_best(ending):
    application = replace(APPLICATION, mode="max")
    metric, *_ = ending(*QUICK, "--trainer.max_epochs=3", application=application)
    assert re.fullmatch(r"val/loss: best \S+ in epoch 0, last \S+ in epoch 2", metric)


def test_without_a_validation_nothing_is_said_to_be_good(ending):
    metric, stopped, _ = ending(*QUICK, "--trainer.limit_val_batches=0")
    assert metric == "without val/loss, how good the model is on other data is not known"
    assert stopped.endswith(f"; last checkpoint: {RUN}/checkpoints/last.ckpt")


def test_without_a_table_the_last_value_is_said(ending):
    metric, *_ = ending(*QUICK, "--trainer.logger=false", "--trainer.max_epochs=2")
    assert re.fullmatch(r"val/loss: last \S+ in epoch 1", metric)


def test_without_checkpoints_none_is_named(ending):
    _, stopped, _ = ending(*QUICK, "--trainer.enable_checkpointing=false")
    assert stopped == "stopped: its one epoch is done; no checkpoint was kept"


STOPPING = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss")

REASONS = {
    "early stopping": (
        (*STOPPING, "--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=10"),
        "early stopping, since val/loss did not improve in one check",
    ),
    "a threshold": (
        (*STOPPING, "--trainer.callbacks.stopping_threshold=9"),
        "early stopping, since val/loss has reached 9.0",
    ),
    "divergence": (
        (*STOPPING, "--trainer.callbacks.divergence_threshold=0.01"),
        "early stopping, since val/loss is worse than 0.01",
    ),
    "steps": (("--trainer.max_steps=11",), "all 11 steps are done"),
    "time": (
        ("--trainer.max_epochs=100000", "--trainer.max_time=00:00:00:01"),
        "the time of trainer.max_time has passed",
    ),
}


@pytest.mark.parametrize(("words", "reason"), REASONS.values(), ids=REASONS)
def test_why_a_training_has_stopped_is_said(words, reason, ending):
    _, stopped, _ = ending(*QUICK, "--trainer.max_epochs=9", *words)
    assert stopped == f"stopped: {reason}; best checkpoint: {BEST}"


def test_early_stopping_that_was_overruled_is_no_reason(ending):
    patience = ("--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=10")
    ending(*QUICK, *STOPPING, *patience, "--trainer.max_epochs=9")
    more = ("--trainer.max_epochs=3", "--trainer.callbacks=null", "--allow_changes=true")
    _, stopped, _ = ending("--ckpt_path=last", *more)
    assert stopped.startswith("stopped: all 3 epochs are done; ")


def write_model(name, losses):
    """Write a module with a model that logs these losses. A process imports a module once."""
    Path(f"{name}.py").write_text(
        "import torch\nfrom example.model import Classifier\n"
        "class Wild(Classifier):\n"
        "    def validation_step(self, batch, batch_idx):\n"
        f"        self.log('val/loss', torch.tensor([{losses}][self.current_epoch]))\n"
    )


def test_of_a_metric_that_was_never_a_number_no_checkpoint_is_the_best(ending):
    write_model("wildest", "float('nan')")
    metric, stopped, _ = ending(*QUICK, "--model=wildest.Wild", "--name=run")
    assert metric == "val/loss: it was never a number"
    assert stopped.endswith(f"; last checkpoint: {RUN}/checkpoints/last.ckpt")


def test_a_metric_that_became_nan_is_not_the_best(ending):
    write_model("wild", "float('nan'), 0.5, 0.7")
    metric, *_ = ending(*QUICK, "--model=wild.Wild", "--name=run", "--trainer.max_epochs=3")
    assert metric == "val/loss: best 0.5 in epoch 1, last 0.7 in epoch 2"
    assert torch.load(BEST, weights_only=True)["epoch"] == 1
