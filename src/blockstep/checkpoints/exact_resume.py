"""Exact resume: without it, a run that was interrupted ends with other weights than one that was not."""

import math
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from blockstep.base.errors import BadInputError
from blockstep.blocks.trainer_steps import callbacks_of
from blockstep.checkpoints.patterns import describe

SETTINGS = ("accumulate_grad_batches", "gradient_clip_val")
"""The trainer's, that a hook may set as an epoch starts. Lightning resumes an epoch without its start."""


def end_restart(trainer: Trainer) -> None:
    """Reset what Lightning's loops know of a restart. It has no public name; test_exact_resume.py fails if it changes.

    Otherwise the first epoch would have the loader's iterator that was made before the random states were restored.
    """
    _Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined] # a property
    trainer.fit_loop._resuming_from_checkpoint = False  # noqa: SLF001 - no public name, as said above


def load_again(trainer: Trainer) -> None:
    """Start the loader anew, and skip the batches of the epoch that were trained on. The fetcher has no public name."""
    fetcher: Any = trainer.fit_loop._data_fetcher  # noqa: SLF001 - no public name, as said above
    if trainer.current_epoch > 0:  # as Lightning does; the first epoch has the iterator that was made before
        iter(fetcher)
    done: Any = trainer.fit_loop.epoch_loop.batch_progress.current  # "completed" comes after the callbacks
    for _ in range(done.processed):
        next(fetcher.iterator)


def _knows_position(trainer: Trainer) -> bool:
    """Whether the loaders keep their positions in checkpoints: `BlockLoader` does, torch's DataLoader does not."""
    return all(hasattr(loader, "state_dict") for loader in CombinedLoader(trainer.train_dataloader).flattened)


def _early_stopping_is_held_back(trainer: Trainer) -> bool:
    """Whether early stopping waits for `min_epochs` or `min_steps`. Lightning does not restore that."""
    least = (trainer.min_epochs or 0) > trainer.current_epoch or (trainer.min_steps or 0) > trainer.global_step
    stopping = [callback for callback in callbacks_of(trainer) if isinstance(callback, EarlyStopping)]
    return least and any(callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED for callback in stopping)


def _settings(trainer: Trainer | None) -> dict[str, Any]:
    return {} if trainer is None else {name: getattr(trainer, name) for name in SETTINGS}


def _may_be_set(name: str, value: Any) -> bool:
    """Whether a setting that a hook can change while it trains may have a value."""
    if name == "accumulate_grad_batches":
        return type(value) is int and 1 <= value < 2**53
    return value is None or (isinstance(value, int | float) and 0 <= value < math.inf)


class ExactResume(Callback):
    """Keep the random states of Python, NumPy and torch in checkpoints, and correct what Lightning restores.

    A resumed run equals, bit for bit, one that was never interrupted. Within an epoch, a loader that does not know its
    position is started again with the random states that the epoch has begun with, and skips what was trained on.
    """

    def __init__(self) -> None:
        self._start_of_epoch: dict[str, Any] = {}  # random states, if the loader must be started again
        self._knows_position = True  # found out once: an epoch may take less time than that
        self._restored: dict[str, Any] = {}
        self._metrics: dict[str, Tensor] = {}
        self._trainer: Trainer | None = None
        self._settings_at_start: dict[str, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the settings that hooks can change."""
        self._trainer, self._settings_at_start = trainer, _settings(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the random states, now and at the epoch's start, and the settings that a hook has changed."""
        settings = dict(_settings(self._trainer).items() - self._settings_at_start.items())
        return {**_random_states(), "trainer": settings, "start_of_epoch": self._start_of_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts, after they were tried on other generators.

        Raises:
            BadInputError: If one of them is not the state of a generator.
        """
        start = state_dict.get("start_of_epoch", {})
        try:
            for states in (state_dict, *([start] if start else [])):
                _set(states, random.Random(), np.random.RandomState(), torch.Generator())  # noqa: S311 - a trial
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, OverflowError) as error:
            raise BadInputError(
                f"ckpt_path must be a checkpoint with the states of the random generators in callbacks.ExactResume. "
                f"Got others: {error}."
            ) from error
        for name, value in state_dict.get("trainer", {}).items():
            if name not in SETTINGS or not _may_be_set(name, value):
                raise BadInputError(f"callbacks.ExactResume.trainer must hold settings. Got {name}: {describe(value)}.")
        self._restored, self._start_of_epoch = state_dict, start

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the logged metrics until training starts."""
        self._metrics = checkpoint.get("callback_metrics", {})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the logged metrics, which early stopping reads in epochs without validation too.

        Between two epochs, leave the next one out of the count of epochs: Lightning would skip it.
        """
        checkpoint["callback_metrics"] = {name: value.clone() for name, value in trainer.callback_metrics.items()}
        progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
        if progress["current"]["ready"] == progress["current"]["started"] + 1:
            for count in (progress["current"], progress["total"]):
                count["ready"] -= 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the random states and the metrics; within an epoch, what hooks have set as it started."""
        trainer.callback_metrics.update(self._metrics)
        self._knows_position = _knows_position(trainer)
        self._restore()
        if trainer.fit_loop.restarted_mid_epoch:
            for name, value in self._restored.get("trainer", {}).items():
                setattr(trainer, name, value)
            if self._start_of_epoch and not self._knows_position:
                _set(self._start_of_epoch, random, np.random, torch.default_generator)
                load_again(trainer)
        else:
            self._restored = {}
            # If max_steps is set, Lightning treats every checkpoint as one from the middle of an epoch.
            end_restart(trainer)
        if _early_stopping_is_held_back(trainer):
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the random states from which the loader draws the epoch's order."""
        self._start_of_epoch = {} if self._knows_position else _random_states()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """In the middle of an epoch, restore them again, since starting the loader has drawn random numbers."""
        if self._restored:
            self._restore()
            self._restored = {}
            # Lightning would do so after the epoch, and until then skip schedulers that watch a metric.
            end_restart(trainer)

    def _restore(self) -> None:
        if self._restored:
            _set(self._restored, random, np.random, torch.default_generator)


def _random_states() -> dict[str, Any]:
    """Return the states of three generators, in types that `weights_only` allows."""
    version, words, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - libraries use the global generator
    return {
        # As a tensor, since writing 625 single numbers takes longer than all of the weights.
        "python": [version, torch.tensor(words), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }


def _set(state: dict[str, Any], python: Any, numpy: Any, generator: torch.Generator) -> None:
    """Set three generators to saved states."""
    version, words, gauss = state["python"]
    python.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, gauss = state["numpy"]  # NumPy would take the first three alone too
    numpy.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    generator.set_state(state["torch"])
