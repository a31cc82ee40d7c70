"""LossCurve: how the loss falls within the epochs, at a cost that does not grow with the run."""

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from batchlab.event_files import RunEvents

Array = NDArray[Any]

POINTS = 200
"""Points a run; of one that goes on beyond its end, or has none, half as many again whenever its length has doubled."""

STEPS_TOGETHER = 1000
"""So many steps' losses wait at the most to be looked at together: one at a time costs a twentieth of a short epoch."""


class LossCurve(Callback):
    """Logs train/step_loss: the mean loss over stretches of a two-hundredth of the run.

    A stretch is a number of events, so that runs of all batch sizes have their points at the same places, and as many
    of them: TensorBoard leaves rare values out of a chart's range. A batch that is longer than a stretch has its loss
    drawn at the end of each that it covers.

    Args:
        logger: Draws the points, and knows the events seen.
    """

    def __init__(self, logger: RunEvents) -> None:
        self._logger = logger
        self._state = {"stretch": 0, "sum": 0.0, "rows": 0}
        self._waiting: list[tuple[Tensor, Array]] = []  # losses, and rows, of each block's steps
        self._seen = self._steps_waiting = 0  # events, with those of the steps that wait
        logger.before_writing.append(self.draw)

    def state_dict(self) -> dict[str, Any]:
        """The stretch that is not over."""
        self.draw()
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on within it."""
        self._state = dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decides how long a stretch is."""
        loader: Any = trainer.train_dataloader
        if not self._state["stretch"]:
            events = max(trainer.max_epochs or 1, 1) * len(loader.dataset)
            self._state["stretch"] = max(math.ceil(events / POINTS), 1)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Doubles the stretch where a run goes on for longer than it said, or did not say."""
        while self._logger.seen.events // self._state["stretch"] >= POINTS:
            self.draw()  # what lies behind, in the stretches of its time
            self._state["stretch"] *= 2

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps a block's losses until it is time to look at them."""
        losses = outputs["losses"] if "losses" in outputs else outputs["loss"].view(1)
        # A copy: an engine may use its memory again.
        self._waiting.append((losses.detach().to("cpu", torch.float64, copy=True), self._logger.seen.latest))
        self._seen = self._logger.seen.events
        self._steps_waiting += len(losses)
        if self._steps_waiting >= STEPS_TOGETHER:
            self.draw()

    def draw(self) -> None:
        """Adds up the losses that wait, and logs the stretches that they fill."""
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
        # One after another, so that the sum does not depend on where blocks were cut.
        self._state["sum"] = reduce(add, weighted.tolist(), self._state["sum"])
        self._state["rows"] += int(rows.sum())
