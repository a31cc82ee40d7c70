"""The loss within epochs: without it, a run of one epoch has a single point of training loss.

This is an extra: see CONTRIBUTING.md for how to delete it.
"""

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from blockstep.base.showing import Showing, shielded
from blockstep.blocks.loader import num_events
from blockstep.blocks.losses import batch_losses
from blockstep.tensorboard.charts import AXIS
from blockstep.tensorboard.event_files import RunEvents

Array = NDArray[Any]

POINTS = 200
"""Points a run. A run without an end, or one that is continued beyond it, has half as many again with each doubling."""

STEPS_TOGETHER = 1000
"""Losses of so many steps at most are collected and then processed together, which is much faster than one by one."""


class LossCurve(Showing, Callback):
    """Log train/step_loss: the mean loss over stretches of a two-hundredth of the run.

    A stretch is a number of events, so that runs of all batch sizes have as many points, at the same places. The loss
    of a batch that is longer than a stretch is drawn at the end of each stretch that it covers.

    Args:
        logger: Draws the points, and counts the events seen.
    """

    def __init__(self, logger: RunEvents) -> None:
        self._logger = logger
        self._state = {"stretch": 0, "sum": 0.0, "rows": 0}
        self._waiting: list[tuple[Tensor, Array]] = []  # losses, and rows, of each block's steps
        self._seen = self._steps_waiting = 0  # events, with those of the steps that wait
        logger.before_writing.append(self.draw)
        logger.descriptions["train/step_loss"] = (
            f"Mean loss of the steps since the previous point, at some {POINTS} places a run. {AXIS}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the unfinished stretch."""
        self.draw()
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the unfinished stretch."""
        self._state = dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the length of a stretch."""
        events = num_events(trainer.train_dataloader)
        if not self._state["stretch"] and events is not None:
            self._state["stretch"] = max(math.ceil(max(trainer.max_epochs or 1, 1) * events / POINTS), 1)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Double the stretch of a run that has become twice as long as planned."""
        while self._state["stretch"] and self._logger.seen.events // self._state["stretch"] >= POINTS:
            self.draw()  # earlier steps, in stretches of the old length
            self._state["stretch"] *= 2

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect a block's losses."""
        losses = batch_losses(trainer, outputs)
        if losses is None:
            return
        self._state["stretch"] = self._state["stretch"] or int(
            self._logger.seen.latest[0]
        )  # if the length is unknown, one step
        # A copy, since an engine may reuse its memory.
        self._waiting.append((losses.detach().to("cpu", torch.float64, copy=True), self._logger.seen.latest))
        self._seen = self._logger.seen.events
        self._steps_waiting += len(losses)
        if self._steps_waiting >= STEPS_TOGETHER:
            self.draw()

    @shielded
    def draw(self) -> None:
        """Average the collected losses, and log the stretches that are complete."""
        if not self._waiting:
            return
        weighted = np.concatenate([losses.numpy() * rows for losses, rows in self._waiting])
        rows = np.concatenate([rows for _, rows in self._waiting])
        self._waiting, self._steps_waiting = [], 0
        state, seen = self._state, self._seen - rows.sum() + np.cumsum(rows)
        stretches, before = seen // state["stretch"], (seen - rows) // state["stretch"]
        first = 0
        for end in (np.flatnonzero(stretches > before) + 1).tolist():
            self._sum_up(weighted[first:end], rows[first:end])
            inner = range(int(before[end - 1]) + 1, int(stretches[end - 1]))
            for at in (*(number * int(state["stretch"]) for number in inner), int(seen[end - 1])):
                self._logger.log_curve("train/step_loss", at, state["sum"] / state["rows"])
            first, state["sum"], state["rows"] = end, 0.0, 0
        self._sum_up(weighted[first:], rows[first:])

    def _sum_up(self, weighted: Array, rows: Array) -> None:
        # In order, so that the sum does not depend on where blocks were cut.
        self._state["sum"] = reduce(add, weighted.tolist(), self._state["sum"])
        self._state["rows"] += int(rows.sum())
