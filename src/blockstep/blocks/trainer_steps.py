"""The Trainer's steps: where a block must end, and how Lightning is told that it was several of them."""

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return `trainer.callbacks`, which is public, but set where type checkers do not see it."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set in a connector
    return callbacks


def steps_until_due(trainer: Trainer, in_epoch: int, steps: int, batches: int) -> int:
    """Return how many steps can be taken before something is due between two of them.

    Args:
        trainer: The trainer, with its limits, its validation interval and its callbacks.
        in_epoch: Steps of this epoch before the block.
        steps: Optimizer steps of the whole training before the block, `global_step`.
        batches: Batches of the whole training before the block.

    Returns:
        At least 1; very many where nothing is due.

    Raises:
        ValueError: If the next step that a callback names is not after the last one.
    """
    # (period, where its count stands). Limits are periods too, of which only the first is reached.
    due = [(trainer.num_training_batches, in_epoch)]
    due += [(limit, steps) for limit in (trainer.max_steps, trainer.min_steps or 0) if limit > steps]
    if trainer.val_check_batch is not None and trainer.enable_validation:
        due.append((trainer.val_check_batch, batches if trainer.check_val_every_n_epoch is None else in_epoch))
    for callback in callbacks_of(trainer):
        due += _due_for(callback, trainer, steps)
    for config in trainer.lr_scheduler_configs:
        if config.interval == "step" and config.reduce_on_plateau:
            due.append((config.frequency, in_epoch))
    periods = [(int(period), count) for period, count in due if 0 < period < float("inf")]
    return min((period - count % period for period, count in periods), default=2**62)


def _due_for(callback: Callback, trainer: Trainer, steps: int) -> list[tuple[int, int]]:
    if hasattr(callback, "next_step_due"):
        due: int = callback.next_step_due(steps)
        if due <= steps:
            name = type(callback).__name__
            raise ValueError(f"{name}.next_step_due({steps}) must be a step after {steps}. Got {due} instead.")
        return [(due, steps)]  # a limit, as max_steps is
    if isinstance(callback, ModelCheckpoint):
        return [(callback._every_n_train_steps, steps)]  # noqa: SLF001 - it has no public name
    if isinstance(callback, LearningRateMonitor) and callback.logging_interval != "epoch":
        # It reads the rate when a step starts whose end is a log point, so that step is a block of its own.
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined] # set in a connector
        return [(every, steps), (every, steps + 1)]
    return []


def count_steps(trainer: Trainer, more: int) -> None:
    """Make Lightning count `more` steps beside the one that it counts for an item.

    This is called when the item is loaded, so that hooks' `batch_idx`, the progress bar, the loggers' step, limits,
    intervals and checkpoints have the number of the block's last step. There is no public name for these counters; the
    tests of `global_step`, the bar, logs and resuming notice if one of them changes.
    """
    fit_loop = trainer.fit_loop
    epoch_loop = fit_loop.epoch_loop
    epoch_loop.batch_progress.increment_by(more)
    epoch_loop.automatic_optimization.optim_progress.optimizer.step.increment_by(more)
    epoch_loop._batches_that_stepped += more  # noqa: SLF001 - no public name, as said above
    if fit_loop._data_fetcher is not None:  # noqa: SLF001 - likewise
        fit_loop._data_fetcher.fetched += more  # noqa: SLF001 - likewise
