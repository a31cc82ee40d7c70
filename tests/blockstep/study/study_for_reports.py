"""A study whose numbers are known, drawn from the model that its report fits."""

from dataclasses import replace

import numpy as np

from blockstep.base.png import as_png
from blockstep.study.table import DATA_SEED, SEED, Curve, Study

SIZES = (1, 3, 10, 32, 100, 320, 1100)
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SIZE, RATE = "data.batch_size", "model.optimizer.lr"
TARGETS = (0.1, 0.05, 0.02)
CRITICAL = 30.0
START, TAU, FASTEST = 0.5, 5.0, 1.5


def drawn_study(sizes=SIZES, rates=RATES, targets=TARGETS, seeds=5, **further):
    """A study in which the metric falls by e in 5 / lr steps, unless lr is above 1.5 / (1 + 30 / B)."""
    rng = np.random.default_rng(0)
    axes = {SIZE: sizes, RATE: rates, **further}
    settings = [{SIZE: size, RATE: rate} for size in sizes for rate in rates]
    for key, values in further.items():
        settings = [one | {key: value} for one in settings for value in values]
    curves = [curve(one | {SEED: seed, DATA_SEED: 0}, targets[-1], rng) for one in settings for seed in range(seeds)]
    return Study("drawn", "val/quality", axes, targets, curves, "compiled", start=["A study of numbers & noise."])


def curve(settings, last, rng):
    """One training of it, which stops two checkpoints after it has held the last target."""
    size, rate = settings[SIZE], settings[RATE]
    steps = np.unique(np.round(10 ** np.arange(0, 4.01, 0.1)).astype(int)).astype(float)
    pace = rate * np.exp(rng.normal(0, 0.1)) / TAU
    floor = 0.0 if rate <= FASTEST / (1 + CRITICAL / size) else 0.3
    values = (START - floor) * np.exp(-np.minimum(steps * pace, 50)) + floor + 1e-4
    below = np.flatnonzero(values <= last)
    end = below[0] + 3 if len(below) else len(steps)
    steps, values = np.append(0.0, steps[:end]), np.append(START, values[:end])
    seconds = steps * (1e-5 + 1e-6 * size)
    outcome = "held" if len(below) else "budget"
    name = "-".join(f"{key}={value}" for key, value in settings.items())
    return Curve(name, settings, outcome, steps, steps * size, values, seconds)


def with_pictures(study, count=4, side=40):
    """The same with pictures, each of an even colour."""
    events = [1100 * 4**place for place in range(count)]

    def picture(row, column):
        return as_png(np.full((side, side, 3), (40 * column, 30 * row, 120), np.uint8))

    sizes = [str(size) for size in next(iter(study.axes.values()))]
    frames = {size: [(seen, picture(row, k)) for k, seen in enumerate(events)] for row, size in enumerate(sizes)}
    return replace(study, frames=frames)


def with_noise(study):
    """The same with a noise scale that is 3 / the metric."""
    curves = [replace(curve, noise=3 / curve.values) for curve in study.curves]
    return replace(study, curves=curves)
