"""What a study has measured: one curve a training, and all of them as one table."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blockstep.study.rules import DEFAULT_RULES, Rules

Numbers = NDArray[np.float64]

Outcome = Literal["held", "budget", "diverged", "failed"]
"""How a training of a study has ended: it held its last target, spent its budget, diverged, or raised an error."""

SEED, DATA_SEED = "seed_everything", "data.seed"
"""The keys of the two seeds, which are varied in each study."""

COLUMNS = ("run", "outcome", "step", "events", "value", "seconds", "timed_alone", "message")
"""The table's columns beside those of the varied keys."""


@dataclass(frozen=True)
class Curve:
    """One training: its settings, and its metric at some of its steps.

    Attributes:
        run: Its name, made from all of its settings.
        settings: The values of the varied keys, the seeds among them, by full key: "data.batch_size",
            "model.optimizer.lr", "seed_everything".
        outcome: How it has ended.
        steps: Steps taken at each checkpoint, rising; the first is 0.
        events: Events seen until then.
        values: The metric's values.
        seconds: Seconds of training until then, validation left out.
        message: What an error said; empty without one.
        alone: Whether no other training ran at the same time, so that its times are its own.
        noise: The gradient noise scale at each checkpoint, NaN where it was not measured; empty if it was nowhere.
    """

    run: str
    settings: Mapping[str, Any]
    outcome: Outcome
    steps: Numbers
    events: Numbers
    values: Numbers
    seconds: Numbers
    message: str = ""
    alone: bool = True
    noise: Numbers = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Study:
    """All that a study has measured.

    Attributes:
        name: Its name.
        metric: Tag of the metric, of which smaller values are better.
        axes: The varied keys with their values, the seeds left out; the first two are those of the figures: the batch
            size, then the learning rate.
        targets: Values of the metric to be held, from the easiest.
        curves: One for each training.
        engine: How steps were taken, for the times.
        rules: When its trainings were looked at, and when a target is held.
        start: What is known besides, for the report: lines of text.
        frames: Pictures of some trainings, by batch size and further values: the events seen, and a PNG file's bytes.
    """

    name: str
    metric: str
    axes: Mapping[str, Sequence[Any]]
    targets: Sequence[float]
    curves: Sequence[Curve]
    engine: str = "eager"
    rules: Rules = DEFAULT_RULES
    start: Sequence[str] = field(default_factory=tuple)
    frames: Mapping[str, Sequence[tuple[int, bytes]]] = field(default_factory=dict)

    @property
    def timed_alone(self) -> bool:
        """Whether each training ran while no other did."""
        return all(curve.alone for curve in self.curves)


def as_csv(curves: Iterable[Curve]) -> str:
    """Return curves as a CSV text, with a row for each checkpoint of each training.

    The last column is the noise scale, if some training has it.
    """
    curves = sorted(curves, key=lambda curve: curve.run)
    keys = list(dict.fromkeys(key for curve in curves for key in curve.settings))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    has_noise = any(len(curve.noise) for curve in curves)
    writer.writerow(["run", *keys, *COLUMNS[1:], *(["noise"] if has_noise else [])])
    for curve in curves:
        given = [curve.settings.get(key) for key in keys]
        noise = curve.noise if len(curve.noise) else np.full(len(curve.steps), np.nan)
        columns = (curve.steps, curve.events, curve.values, curve.seconds, noise)
        for step, events, value, seconds, scale in zip(*columns, strict=True):
            numbers = [int(step), int(events), repr(float(value)), f"{seconds:.6f}", "yes" if curve.alone else "no"]
            measured = [repr(float(scale))] if has_noise else []
            writer.writerow([curve.run, *given, curve.outcome, *numbers, curve.message, *measured])
    return text.getvalue()
