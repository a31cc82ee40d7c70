"""Exact resume: without it, a run that was interrupted ends with other weights than one that was not."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason
from lightning.pytorch.loops.loop import _Loop
from torch import Tensor

from blockstep.base.errors import BadInputError
from blockstep.blocks.loader import callbacks_of


def end_restart(trainer: Trainer) -> None:
    """Reset the restart flag of Lightning's loops. It has no public name; test_exact_resume.py fails if it changes."""
    _Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined] # a property


def _early_stopping_is_held_back(trainer: Trainer) -> bool:
    """Whether early stopping waits for `min_epochs` or `min_steps`. Lightning does not restore that."""
    least = (trainer.min_epochs or 0) > trainer.current_epoch or (trainer.min_steps or 0) > trainer.global_step
    stopping = [callback for callback in callbacks_of(trainer) if isinstance(callback, EarlyStopping)]
    return least and any(callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED for callback in stopping)


def _start_epoch_again(trainer: Trainer, module: LightningModule) -> None:
    """Have what is set as an epoch starts set again, since Lightning starts an epoch that it resumes only once.

    That is done for Lightning's `GradientAccumulationScheduler`, and for callbacks that were not written for this
    package and save no state: whatever such a one has set, a new process lacks.
    """
    for callback in callbacks_of(trainer):
        start: Any = callback.on_train_epoch_start
        foreign = start.__module__.partition(".")[0] not in ("lightning", "blockstep")
        stateless = not callback.state_dict()
        if isinstance(callback, GradientAccumulationScheduler) or (foreign and stateless):
            start(trainer, module)


class ExactResume(Callback):
    """Keep the random states of Python, NumPy and torch in checkpoints, and correct what Lightning restores.

    With a loader that knows its position, as `BlockLoader` does, a resumed run equals, bit for bit, one that was never
    interrupted.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] = {}
        self._metrics: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the random states, in types that `weights_only` allows."""
        version, words, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - libraries use the global generator
        return {
            # As a tensor, since writing 625 single numbers takes longer than all of the weights.
            "python": [version, torch.tensor(words), gauss],
            "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts, after they were tried on other generators.

        Raises:
            BadInputError: If one of them is not the state of a generator.
        """
        try:
            _set(state_dict, random.Random(), np.random.RandomState(), torch.Generator())  # noqa: S311 - a trial
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, OverflowError) as error:
            raise BadInputError(
                f"ckpt_path must be a checkpoint with the states of the random generators in callbacks.ExactResume. "
                f"Got others: {error}."
            ) from error
        self._restored = state_dict

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
        """Restore the random states and the metrics."""
        trainer.callback_metrics.update(self._metrics)
        self._restore()
        if trainer.fit_loop.restarted_mid_epoch:
            _start_epoch_again(trainer, pl_module)
        else:
            self._restored = {}
            # If max_steps is set, Lightning treats every checkpoint as one from the middle of an epoch.
            end_restart(trainer)
        if _early_stopping_is_held_back(trainer):
            trainer.should_stop = True

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


def _set(state: dict[str, Any], python: Any, numpy: Any, generator: torch.Generator) -> None:
    """Set three generators to saved states."""
    version, words, gauss = state["python"]
    python.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, gauss = state["numpy"]  # NumPy would take the first three alone too
    numpy.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    generator.set_state(state["torch"])
