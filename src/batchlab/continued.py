"""Going on with a run: only as what it was, and only if something is left."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from batchlab.checkpoint import read_checkpoint
from batchlab.errors import BadInputError

FREE = (
    "ckpt_path",
    "config",
    "allow_changes",
    "epoch_report",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
)
"""Keys that say where from, how it is reported, and what may change: not what is trained."""

LIMITS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.min_epochs", "trainer.min_steps")
"""Keys that say how long: a run may go on for longer than it was meant to."""


def continued_run(run: Path, checkpoint: Path, before: Namespace, now: Namespace) -> Path | None:
    """The folder in which training goes on.

    Args:
        run: The run's folder.
        checkpoint: Its last checkpoint.
        before: The settings that it was started with.
        now: The settings that it would go on with.

    Returns:
        The run's own folder; None for a new one, where changes are allowed and there are some.

    Raises:
        BadInputError: If settings would change and may not, or nothing is left to train.
    """
    changes = _changes(before, now)
    if changes and not now.allow_changes:
        raise BadInputError(
            f"a run goes on with the settings that it was started with. Got others for {run}: {'; '.join(changes)}. "
            "Leave them out, or add --allow_changes true to go on in a new folder."
        )
    _check_that_something_is_left(checkpoint, now)
    return None if changes else run


def check_optimizer_kept(path: Path, before: Namespace, now: Namespace) -> None:
    """Raises BadInputError if the optimizer or its scheduler would be another: a checkpoint restores their own rates.

    Args:
        path: The checkpoint.
        before: The settings that it brings.
        now: The settings that a fit would go on with.
    """
    for key in ("model.optimizer", "model.lr_scheduler"):
        if before[key] != now[key]:
            raise BadInputError(
                f"{key} must be left out: the one of {path} goes on as it was, its learning rate included. "
                f"It was {_class(before[key])} and would be {_class(now[key])}."
            )


def _changes(before: Namespace, now: Namespace) -> list[str]:
    old, new = vars(before.as_flat()), vars(now.as_flat())
    keys = [key for key in sorted(old.keys() | new.keys()) if not key.startswith(FREE) and key not in LIMITS]
    return [f"{key} was {old.get(key)!r} and would be {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]


def _check_that_something_is_left(path: Path, config: Namespace) -> None:
    checkpoint = read_checkpoint(path)
    epochs, steps = config.trainer.max_epochs, config.trainer.max_steps
    if epochs is not None and 0 <= epochs <= checkpoint["epoch"]:
        raise BadInputError(f"trainer.max_epochs must be more than the {checkpoint['epoch']} of {path}. Got {epochs}.")
    if 0 <= steps <= checkpoint["global_step"]:
        raise BadInputError(
            f"trainer.max_steps must be more than the {checkpoint['global_step']} of {path}. Got {steps}."
        )
    stopped = _stopped_early(checkpoint, config.trainer)
    if stopped is not None:
        raise BadInputError(
            f"nothing is left to train: early stopping has ended the run of {path} after epoch {stopped}. "
            "To go on all the same, change its patience and add --allow_changes true."
        )


def _stopped_early(checkpoint: dict[str, Any], trainer: Namespace) -> int | None:
    """The epoch after which early stopping has ended a run; None if it has not, or waits for the least to be done."""
    if (trainer.min_epochs or 0) > checkpoint["epoch"] or (trainer.min_steps or 0) > checkpoint["global_step"]:
        return None
    states = checkpoint["callbacks"].values()
    return next((int(state["stopped_epoch"]) for state in states if state.get("stopping_reason")), None)


def _class(config: Namespace | None) -> str:
    return "null" if config is None else f"{config.class_path} {config.init_args.as_dict()}"
