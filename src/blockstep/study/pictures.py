"""Pictures of what is learned, at equal numbers of events: without them, the report would have curves alone."""

import math
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from blockstep.base.png import as_png
from blockstep.study.names import label, title_of
from blockstep.study.plan import Plan, Run
from blockstep.study.table import Curve
from blockstep.study.training import Task, train
from blockstep.study.workers import for_each
from blockstep.tensorboard.event_files import EventsSeen

PER_DECADE = 4
"""Pictures from one power of ten of events to the next."""

Frames = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Drawing:
    """A training of which pictures are drawn.

    Attributes:
        task: The training.
        picture: Import path of the function that draws a model.
        steps: When.
    """

    task: Task
    picture: str
    steps: Sequence[int]


class Draw(Callback):
    """Draw the model before the first step, and at some steps.

    Args:
        picture: Import path of a function of the model that returns an RGB image, shape (height, width, 3), or None.
        steps: The steps, rising.

    Attributes:
        frames: The events seen at each, and the picture as a PNG file.
    """

    def __init__(self, picture: str, steps: Sequence[int]) -> None:
        self.frames: Frames = []
        self._draw, self._due, self._seen = resolve_name(picture), steps, EventsSeen()

    def next_step_due(self, step: int) -> int:
        """Return the first picture's step after a step, at which a block ends."""
        place = bisect_right(self._due, step)
        return self._due[place] if place < len(self._due) else sys.maxsize

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the start."""
        self._add(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the model if it is due."""
        self._seen.on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self.next_step_due(trainer.global_step - 1) == trainer.global_step:
            self._add(pl_module)

    def _add(self, module: LightningModule) -> None:
        picture = self._draw(module)
        if picture is not None:
            self.frames.append((self._seen.events, as_png(picture)))


def draw_best(plan: Plan, best: Sequence[tuple[Run, Curve]], jobs: int, scheduler: str | None) -> Mapping[str, Frames]:
    """Draw what is learned with the best learning rate of each batch size and the first seed, training once more.

    Args:
        plan: The plan.
        best: Those with the best learning rates, see `best_runs`.
        jobs: Trainings at the same time.
        scheduler: Address of a Dask scheduler.

    Returns:
        The events seen and a PNG file's bytes, by batch size and further values; nothing if the application draws
        nothing.
    """
    picture = plan.application.picture
    if picture is None or not best:
        return {}
    drawings, events = [], max(curve.events[-1] for _, curve in best)
    for run, curve in best:  # to the same number of events, whenever the study's own training has ended
        steps = max(1, round(events * curve.steps[-1] / max(curve.events[-1], 1)))
        task = replace(plan.task(run, steps), target=-math.inf)
        drawings.append(Drawing(task, picture, _steps_at_events(steps, events)))
    print(f"{len(drawings)} trainings once more, for their pictures", flush=True)
    frames = dict(for_each(draw, drawings, jobs, scheduler))
    return {_title(plan, run): frames[place] for place, (run, _) in enumerate(best)}


def _title(plan: Plan, run: Run) -> str:
    size, *others = run.cell
    return ", ".join(filter(None, [label(size), title_of(dict(zip(list(plan.axes)[2:], others, strict=True)))]))


def draw(drawing: Drawing) -> Frames:
    """Train, and return the pictures."""
    drawer = Draw(drawing.picture, drawing.steps)
    train(drawing.task, drawer)
    return drawer.frames


def _steps_at_events(steps: float, events: float) -> list[int]:
    """The steps of a training at which it has seen certain numbers of events, which are the same for all trainings."""
    grid = [10 ** (i / PER_DECADE) for i in range(math.ceil(PER_DECADE * math.log10(max(events, 1))))] + [events]
    return (
        sorted({min(max(1, round(seen * steps / events)), int(steps)) for seen in grid if seen >= 1}) if steps else []
    )
