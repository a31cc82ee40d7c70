"""LossCurve: how the loss falls within the epochs, at a cost that does not grow with the run."""

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from batchlab.event_files import RunEvents

Array = NDArray[Any]

POINTS = 200
"""Points a run, at most; of a run without an end, as many again whenever it has become four times as long."""


class LossCurve(Callback):
    """Logs train/step_loss: the mean loss over stretches of a two-hundredth of the run.

    A stretch is a number of events, so that runs of all batch sizes have their points at the same places; one that is
    shorter than a batch is the batch.

    Args:
        logger: Draws the points, and knows the events seen.
    """

    def __init__(self, logger: RunEvents) -> None:
        self._logger = logger
        self._state = {"stretch": 0, "sum": 0.0, "rows": 0}

    def state_dict(self) -> dict[str, Any]:
        """The stretch that is not over."""
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
            self._state["stretch"] *= 2

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds a block's losses, and logs the stretches that they fill."""
        losses = outputs.get("losses", outputs["loss"].view(1)).detach().double().numpy(force=True)
        state, rows = self._state, self._logger.seen.latest
        weighted = losses * rows
        seen = self._logger.seen.events - rows.sum() + np.cumsum(rows)
        ends = np.flatnonzero(seen // state["stretch"] > (seen - rows) // state["stretch"]) + 1
        first = 0
        for end in ends.tolist():
            self._sum_up(weighted[first:end], rows[first:end])
            self._logger.log_curve("train/step_loss", int(seen[end - 1]), state["sum"] / state["rows"])
            first, state["sum"], state["rows"] = end, 0.0, 0
        self._sum_up(weighted[first:], rows[first:])

    def _sum_up(self, weighted: Array, rows: Array) -> None:
        # One after another, so that the sum does not depend on where blocks were cut.
        self._state["sum"] = reduce(add, weighted.tolist(), self._state["sum"])
        self._state["rows"] += int(rows.sum())
