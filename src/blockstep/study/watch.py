"""A metric at log-spaced steps: without it, a training would go on long after its question is answered."""

import math
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import LRSchedulerConfig

from blockstep.blocks.training import BlockTraining
from blockstep.runs.epoch_report import Stopwatch
from blockstep.study.rules import DEFAULT_RULES, Rules
from blockstep.study.table import Outcome
from blockstep.study.validation import Validation
from blockstep.tensorboard.event_files import EventsSeen


def log_spaced(most: int, per_decade: int) -> list[int]:
    """Return steps from 1 to `most` with equal ratios between them, as far as they are whole numbers.

    Example:
        >>> log_spaced(12, per_decade=4)
        [1, 2, 3, 6, 10, 12]
    """
    exponents = np.arange(0, math.log10(most) + 1e-9, 1 / per_decade)
    return sorted({*np.round(10**exponents).astype(int).tolist(), most})


class Watch(Validation):
    """Evaluate a metric at log-spaced steps, and stop a training whose further course is not needed.

    It stops after it has held the last target, has diverged (the metric is not finite, or lies too far above its
    start), or after its last step.

    Args:
        metric: Tag of the metric, of which smaller values are better.
        target: The last target.
        most_steps: The last step.
        rules: What the checkpoints are, and what ends a training.
        most_seconds: Stop at a checkpoint after this time.

    Attributes:
        steps: Steps at the checkpoints until now; the first is 0.
        events: Training events seen until each.
        values: The metric's values.
        seconds: Seconds of training until each, as `EpochReport` counts them.
        outcome: How the training has ended.
        logged: Tags of the metrics that the first validation has logged.
        validating: Seconds of all validations.
    """

    def __init__(
        self,
        metric: str,
        target: float,
        most_steps: int,
        rules: Rules = DEFAULT_RULES,
        most_seconds: float = math.inf,
    ) -> None:
        super().__init__()
        self.metric, self.target, self.rules, self.most_seconds = metric, target, rules, most_seconds
        self.due = log_spaced(most_steps, rules.per_decade)
        self.steps: list[int] = []
        self.events: list[int] = []
        self.values: list[float] = []
        self.seconds: list[float] = []
        self.outcome: Outcome = "budget"
        self.logged: Sequence[str] = ()
        self.validating = 0.0
        self._stopwatch, self._seen = Stopwatch(), EventsSeen()

    def next_step_due(self, step: int) -> int:
        """Return the first checkpoint after a step, at which a block ends."""
        place = bisect_right(self.due, step)
        return self.due[place] if place < len(self.due) else sys.maxsize

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave out Lightning's own validations, unless a scheduler or a callback may read what they log."""
        if not any(map(_reads_metrics, trainer.lr_scheduler_configs)):
            trainer.check_val_every_n_epoch = sys.maxsize

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the metric before the first step; start the time of the epoch."""
        if not self.steps:
            self._look(trainer, pl_module, 0)
        self._stopwatch.resume()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pause the time between epochs."""
        self._stopwatch.pause()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate the metric if it is due."""
        self._seen.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        step = trainer.global_step
        if self.next_step_due(step - 1) == step:
            self._look(trainer, pl_module, step)
            self._stopwatch.resume()

    def _look(self, trainer: Trainer, module: LightningModule, step: int) -> None:
        self._stopwatch.pause()
        before = time.perf_counter()
        value = self._evaluate_finite(trainer, module)
        self.validating += time.perf_counter() - before
        self.steps.append(step)
        self.events.append(self._seen.events)
        self.values.append(value)
        self.seconds.append(self._stopwatch.seconds)
        if self._is_decided() or self._stopwatch.seconds > self.most_seconds:
            trainer.should_stop = True

    def _evaluate_finite(self, trainer: Trainer, module: LightningModule) -> float:
        """Return the metric; NaN if it is not finite, or cannot be computed since a weight is not."""
        try:
            return self._evaluate(trainer, module)
        except Exception:
            if _is_finite(module):
                raise
            return math.nan

    def _evaluate(self, trainer: Trainer, module: LightningModule) -> float:
        metrics = self.validate(trainer, module)
        if not self.steps:
            self.logged = sorted(metrics)
            if isinstance(module, BlockTraining) and not any(map(_reads_metrics, trainer.lr_scheduler_configs)):
                module.wanted_scores = frozenset({self.metric})
        return float(metrics[self.metric]) if self.metric in metrics else math.nan

    def _is_decided(self) -> bool:
        start, value = self.values[0], self.values[-1]
        further = self.rules.further
        last = self.values[-1 - further :]
        if not math.isfinite(value) or value > start + self.rules.diverged * abs(start):
            self.outcome = "diverged"
        elif len(last) > further and all(value <= self.target for value in last):
            self.outcome = "held"
        return self.outcome != "budget"


def _reads_metrics(config: LRSchedulerConfig) -> bool:
    return config.reduce_on_plateau


def _is_finite(module: LightningModule) -> bool:
    # If the sum is finite, so are its terms. It may overflow by itself, so the terms are looked at then.
    with torch.no_grad():
        weights = [parameter.flatten() for parameter in module.parameters() if parameter.is_floating_point()]
        total = float(torch.cat(weights).sum()) if weights else 0.0
        return math.isfinite(total) or all(bool(torch.isfinite(part).all()) for part in weights)
