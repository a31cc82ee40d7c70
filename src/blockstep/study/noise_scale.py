"""The gradient noise scale in a training: without it, a critical batch size would have nothing to be compared with."""

import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from blockstep.base.errors import BadInputError, at_least
from blockstep.base.showing import Showing
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.trainer_steps import callbacks_of
from blockstep.blocks.training import BlockTraining, log_to_all
from blockstep.runs.csv_logger import read_rows
from blockstep.runs.epoch_report import EpochReport
from blockstep.study.gradient_noise import Noise, gradient_noise
from blockstep.tensorboard.charts import AXIS
from blockstep.tensorboard.event_files import RunEvents

TRACE, SQUARED_GRADIENT, SCALE = "noise/trace", "noise/squared_gradient", "noise/scale"

DESCRIPTIONS = {
    TRACE: f"tr Σ: how far the gradients of single training events scatter about their mean, squared. {AXIS}",
    SQUARED_GRADIENT: f"|G|²: the squared length of the mean gradient of the training events. {AXIS}",
    SCALE: "tr Σ / |G|², the simple noise scale: the batch size at which the noise of a step's gradient is as large as "
    f"the gradient. Its mean over the steps until a target is held is comparable to the critical batch size. {AXIS}",
}


class NoiseScale(Showing, Callback):
    """Log the gradient noise scale at log-spaced steps, from the gradients of single training events.

    It is logged if asked for by `--trainer.callbacks+=blockstep.study.noise_scale.NoiseScale`: tr Σ, |G|² and their
    ratio (McCandlish et al. 2018, section 2.2). Each time takes a forward and a backward pass over the events. The
    training is the same, bit for bit.

    Args:
        events: The most events that are used. Of a larger training set, that many are drawn, the same ones each time.
        per_decade: Points from one power of ten of steps to the next.

    Attributes:
        measured: What was measured until now; the first is before the first step.

    Raises:
        ValueError: If events is smaller than 2, or per_decade than 1.
    """

    def __init__(self, events: int = 2048, per_decade: int = 8) -> None:
        at_least(2, events=events)
        at_least(1, per_decade=per_decade)
        self.events, self.per_decade = events, per_decade
        self.measured: list[Noise] = []

    def next_step_due(self, step: int) -> int:
        """Return the first step after one at which the noise is measured; a block ends there.

        Example:
            >>> noise = NoiseScale(per_decade=4)
            >>> [noise.next_step_due(step) for step in (0, 1, 2, 3, 999_999)]
            [1, 2, 3, 6, 1000000]
        """
        first = math.floor(self.per_decade * math.log10(step)) if step else 0
        points = (round(10 ** (number / self.per_decade)) for number in count(first))
        return next(point for point in points if point > step)

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured."""
        return {"measured": [list(noise) for noise in self.measured]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after it.

        Raises:
            BadInputError: If it is something else.
        """
        points = state_dict.get("measured")
        if not (isinstance(points, list) and all(map(_is_point, points))):
            raise BadInputError(
                "ckpt_path must be a checkpoint with a step and two numbers for each point in "
                f"callbacks.NoiseScale.measured. Got {points!r} instead."
            )
        self.measured = [Noise(*point) for point in points]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which events are used, and measure the noise before the first step.

        Raises:
            BadInputError: If the module or its loader does not train in blocks.
        """
        loader = _loader(trainer, pl_module)
        used = min(loader.rows, self.events)
        of_all = "all" if used == loader.rows else f"{used} of the"
        pl_module.print(f"noise scale: from the gradients of {of_all} {loader.rows} training events")
        for logger in trainer.loggers:
            if isinstance(logger, RunEvents):
                logger.descriptions |= DESCRIPTIONS
        if trainer.global_step == 0:
            self._measure(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the noise if it is due, once: with accumulated gradients, several batches make a step."""
        step = trainer.global_step
        is_measured = bool(self.measured) and self.measured[-1].step == step
        if step and self.next_step_due(step - 1) == step and not is_measured:
            self._measure(trainer, pl_module)

    def _measure(self, trainer: Trainer, module: LightningModule) -> None:
        for callback in callbacks_of(trainer):
            if isinstance(callback, EpochReport):
                callback.pause_time()
        if not (trainer.is_global_zero and isinstance(module, BlockTraining)):
            return
        loader = _loader(trainer, module)
        events = trainer.precision_plugin.convert_input(tuple(_draw(loader, self.events)))  # to double precision, say
        events = tuple(tensor.to(module.device) for tensor in events)
        noise = Noise(trainer.global_step, *gradient_noise(module, events, loader.rows))
        self.measured.append(noise)
        values = {TRACE: noise.trace, SQUARED_GRADIENT: noise.squared_gradient, SCALE: noise.scale}
        log_to_all(trainer, values)


def read_noise(table: Path) -> list[Noise]:
    """Return the noise that a run has logged.

    Args:
        table: The run's metrics.csv, whose steps are numbered from 0.
    """
    rows = [row for row in read_rows(table) if row.get(TRACE)]
    return [Noise(int(row["step"]) + 1, float(row[TRACE]), float(row[SQUARED_GRADIENT])) for row in rows]


def _draw(loader: BlockLoader, most: int) -> Sequence[Tensor]:
    """Return all training events, or as many as are asked for, drawn without replacement, the same ones each time."""
    if loader.rows <= most:
        return loader.dataset[: loader.rows]
    generator = torch.Generator().manual_seed(0)  # of its own, so that the training draws what it drew without this
    return loader.dataset[torch.randperm(loader.rows, generator=generator)[:most]]


def _loader(trainer: Trainer, module: LightningModule) -> BlockLoader:
    loader = trainer.train_dataloader
    if not (isinstance(module, BlockTraining) and isinstance(loader, BlockLoader)):
        raise BadInputError(
            "trainer.callbacks may have a NoiseScale for a BlockTraining and its BlockLoader, which have the loss and "
            f"the rows of single events. Got {type(module).__name__} and {type(loader).__name__} instead."
        )
    return loader


def _is_point(point: Any) -> bool:
    numbers = isinstance(point, list) and [type(number) for number in point] == [int, float, float]
    return numbers and point[0] >= 0
