"""Checks before a run goes on: without them, a resumed run would silently mix two settings, or train nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # it brings no annotations
from jsonargparse import Namespace, get_loader
from lightning.pytorch.callbacks import Timer

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.checkpoints.contents import KEY
from blockstep.runs.run_mark import config_beside, finished_at, marked_at

FREE = (
    "ckpt_path",
    "config",
    "allow_changes",
    "epoch_report",
    "name",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
)
"""Keys that may change because they do not change what is trained."""

LIMITS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.min_epochs", "trainer.min_steps")
"""Keys that may change because a run may go on for longer than it was meant to."""


MOST_EPOCHS = 1000
"""Lightning's limit where neither epochs, nor steps, nor the time are limited."""


def resumes_in_place(run: Path, checkpoint: Path, before: Namespace, now: Namespace) -> bool:
    """Check that a run can go on, and return whether it goes on in its own folder.

    Args:
        run: The run's folder.
        checkpoint: Its last.ckpt.
        before: The settings that it was started with.
        now: The settings that it would go on with.

    Returns:
        False if settings change and `allow_changes` is set; the run then needs a new folder.

    Raises:
        BadInputError: If settings would change and may not, or early stopping has ended the run.
    """
    changes = _changes(before, now)
    if changes and not now.allow_changes:
        raise BadInputError(
            f"a run goes on with the settings that it was started with. Got others for {run}: {'; '.join(changes)}. "
            "Leave them out, or add --allow_changes true to go on in a new folder."
        )
    if not changes or "EarlyStopping" in str(now.trainer.callbacks):  # whose patience is that of the checkpoint
        _check_not_stopped_early(checkpoint, now.trainer)
    return not changes


def check_config_kept(path: Path) -> None:
    """Raise BadInputError if the config of a checkpoint's run was edited: the checkpoint holds the one that was used.

    It is compared as data, so that no class is imported because a checkpoint names it.

    Args:
        path: The checkpoint. One that lies in no run has no config beside it.
    """
    config = config_beside(path)
    if config is None:
        return
    used, beside = str(read_checkpoint(path)[KEY].get("config")), config.read_text(encoding="utf-8")
    if used == beside:
        return
    try:
        changes = _differences(dict(_flat(_load(used))), dict(_flat(_load(beside))))
    except (yaml.YAMLError, RecursionError, BadInputError) as error:
        raise BadInputError(
            f"{config} must be the config of {path}. Got a text that cannot be read instead."
        ) from error
    if changes:
        raise BadInputError(
            f"{config} must be the config that its run was trained with, which {path} holds. Got another: "
            f"{'; '.join(changes)}. Put it back; to go on with other settings, give them on the command line, with "
            "--allow_changes true."
        )


def check_optimizer_kept(path: Path, before: Namespace, now: Namespace) -> None:
    """Raise BadInputError if the optimizer or scheduler would change: the checkpoint's own would silently go on.

    Args:
        path: The checkpoint.
        before: The settings of the checkpoint.
        now: The settings of the command.
    """
    for key in (f"model.{name}" for name in CLASSES):
        if before.get(key) != now.get(key):
            raise BadInputError(
                f"{key} must be left out: the one of {path} goes on as it was, its learning rate included. "
                f"It was {_describe(before.get(key))} and would be {_describe(now.get(key))}."
            )


def check_that_something_is_trained(trainer: Namespace) -> None:
    """Raise BadInputError if the trainer is set to train nothing: an empty run would be left."""
    for key in ("max_epochs", "max_steps", "limit_train_batches"):
        value = trainer.get(key)
        if value is not None and value == 0:
            raise BadInputError(f"trainer.{key} must not be 0, since nothing would be trained. Got {value}.")


def check_time(max_time: Any) -> None:
    """Raise BadInputError unless `trainer.max_time` is none, or a time above 0 as Lightning's `Timer` takes it."""
    try:
        left = Timer(max_time).time_remaining()
    except Exception:  # noqa: BLE001 - Lightning's own for a text, a TypeError for a mapping, and others
        left = 0.0
    if left is not None and left <= 0:
        raise BadInputError(
            "trainer.max_time must be days, hours, minutes and seconds above 0, as in 00:00:05:00 for five minutes. "
            f"Got {max_time!r} instead."
        )


def check_that_something_is_left(path: Path, trainer: Namespace) -> None:
    """Raise BadInputError if a checkpoint has all the epochs, steps or time of the run that would go on from it.

    Args:
        path: The checkpoint.
        trainer: The settings of the trainer.
    """
    checkpoint = read_checkpoint(path)
    unlimited = trainer.max_epochs is None and trainer.max_steps == -1 and trainer.max_time is None
    for key, done in {"max_epochs": _epochs_trained(checkpoint), "max_steps": checkpoint["global_step"]}.items():
        limit = MOST_EPOCHS if key == "max_epochs" and unlimited else trainer[key]
        if limit is not None and 0 <= limit <= done:
            raise BadInputError(
                f"{_finished(path)}: trainer.{key} must be more than the {done} of {path}. Got {limit}. To go on, add "
                f"for example --trainer.{key} {max(2 * done, 1)}."
            )
    _check_that_time_is_left(path, checkpoint, trainer)


def _check_that_time_is_left(path: Path, checkpoint: dict[str, Any], trainer: Namespace) -> None:
    elapsed = checkpoint["callbacks"].get("Timer", {}).get("time_elapsed", {}).get("train", 0.0)
    limit = None if trainer.max_time is None else Timer(trainer.max_time).time_remaining()
    if limit is not None and elapsed >= limit:
        days, seconds = divmod(2 * int(elapsed) + 60, 24 * 3600)
        more = f"{days:02}:{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
        raise BadInputError(
            f"{_finished(path)}: trainer.max_time must be more than the {elapsed:.1f} seconds of {path}. Got "
            f"{trainer.max_time}. To go on, add for example --trainer.max_time {more}."
        )


def _epochs_trained(checkpoint: dict[str, Any]) -> int:
    """The epochs with all of their batches: best.ckpt is saved before Lightning has counted its epoch."""
    loop = checkpoint["loops"]["fit_loop"]
    progress = loop["epoch_progress"]["current"]
    is_last = loop["epoch_loop.batch_progress"]["is_last_batch"] and progress["started"] > progress["completed"]
    return int(checkpoint["epoch"] + is_last)


def _changes(before: Namespace, now: Namespace) -> list[str]:
    return _differences(vars(before.as_flat()), vars(now.as_flat()))


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    keys = [key for key in sorted(old.keys() | new.keys()) if not key.startswith(FREE) and key not in LIMITS]
    return [f"{key} was {old.get(key)!r} and would be {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]


def _load(text: str) -> Any:
    """Return a config's content as a parser reads it, which forgets the classes, and their names."""
    config = get_loader("yaml")(text)
    if not isinstance(config, dict):
        raise BadInputError("a config must be a mapping of keys.")
    named = yaml.safe_load(text)
    parts = {key: named[key] for key in ("model", "data") if isinstance(named.get(key), dict)}
    return {**config, **{f"{key}.class_path": part.get("class_path") for key, part in parts.items()}}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}".removeprefix("."))
    else:
        yield key, value


def _check_not_stopped_early(path: Path, trainer: Namespace) -> None:
    checkpoint = read_checkpoint(path)
    if (trainer.min_epochs or 0) > checkpoint["epoch"] or (trainer.min_steps or 0) > checkpoint["global_step"]:
        return
    for state in checkpoint["callbacks"].values():
        if state.get("stopping_reason"):
            raise BadInputError(
                f"{_finished(path)}: early stopping has ended the run after epoch {state.get('stopped_epoch')}. To go "
                "on without it, in a new folder, add --trainer.callbacks null --allow_changes true."
            )


def _finished(path: Path) -> str:
    run = path.absolute().parent.parent
    if not marked_at(run):
        return f"nothing is left to train from {path}"
    at = finished_at(run)
    if at is None:  # it was killed
        return f"the run in {path.parent.parent} has been trained further than that"
    return f"the run in {path.parent.parent} is finished, since {at}"


def _describe(config: Namespace | None) -> str:
    return "null" if config is None else f"{config.class_path} {config.init_args.as_dict()}"
