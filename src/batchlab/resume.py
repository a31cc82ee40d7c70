"""ExactResume: what Lightning's checkpoints lack to go on as if nothing had happened."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks.early_stopping import EarlyStopping, EarlyStoppingReason
from lightning.pytorch.loops.loop import _Loop
from torch import Tensor

from batchlab.block_loader import callbacks_of


def end_restart(trainer: Trainer) -> None:
    """Tells Lightning's loops that the restart is over. They have no public name for it; resuming tests notice."""
    _Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined] # a property


def _stops_at_the_least(trainer: Trainer) -> bool:
    """Whether early stopping only waits for `min_epochs` or `min_steps`, which Lightning forgets."""
    least = (trainer.min_epochs or 0) > trainer.current_epoch or (trainer.min_steps or 0) > trainer.global_step
    stopping = [callback for callback in callbacks_of(trainer) if isinstance(callback, EarlyStopping)]
    return least and any(callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED for callback in stopping)


class ExactResume(Callback):
    """Keeps the random states of Python, NumPy and torch in every checkpoint, and mends what Lightning restores.

    Together with a loader that knows its position (`batchlab.block_loader`), a run that goes on from a checkpoint then
    equals one that was never interrupted, bit for bit.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] = {}
        self._metrics: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The random states, in types that a checkpoint may hold (`weights_only`)."""
        version, words, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the old generator is what libraries draw from
        return {
            "python": [version, list(words), gauss],
            "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
            "torch": torch.get_rng_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remembers the states until training starts."""
        self._restored = state_dict

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers what callbacks can watch, likewise."""
        self._metrics = checkpoint.get("callback_metrics", {})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keeps the metrics that callbacks can watch: early stopping asks for them in epochs without validation too.

        And between two epochs, leaves the one that has not begun out of the count: Lightning would skip it.
        """
        checkpoint["callback_metrics"] = {name: value.clone() for name, value in trainer.callback_metrics.items()}
        progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
        if progress["current"]["ready"] == progress["current"]["started"] + 1:
            for count in (progress["current"], progress["total"]):
                count["ready"] -= 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the random states and the metrics of a run that goes on."""
        trainer.callback_metrics.update(self._metrics)
        self._restore()
        if not trainer.fit_loop.restarted_mid_epoch:
            self._restored = {}
            # Where max_steps is set, Lightning takes every run for one that stopped within an epoch.
            end_restart(trainer)
        if _stops_at_the_least(trainer):
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """In the middle of an epoch, restores them once more: starting the loader has drawn from them again."""
        if self._restored:
            self._restore()
            self._restored = {}
            # Lightning would say so after the epoch, and until then leave out what its end calls for: schedulers that
            # watch a metric.
            end_restart(trainer)

    def _restore(self) -> None:
        if not self._restored:
            return
        version, words, gauss = self._restored["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, *rest = self._restored["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(self._restored["torch"])
