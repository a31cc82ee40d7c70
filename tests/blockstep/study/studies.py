"""Studies made of numbers, for tests of what follows from them."""

import numpy as np

from blockstep.study.table import DATA_SEED, SEED, Curve, Study

SIZES = np.array([1.0, 3, 10, 32, 100, 320, 1100])
SIZE, LR = "data.batch_size", "model.optimizer.lr"


def array(*numbers):
    return np.array(numbers, dtype=float)


def curve(size, lr, seed=0, steps=(0, 10, 20, 30), values=(9, 1, 1, 1), events=None, seconds=None, **others):
    """A training; by default it holds a target of 1 after 10 steps, has full batches, and takes a second a step."""
    steps, values = np.array(steps, dtype=float), np.array(values, dtype=float)
    settings = {SIZE: size, LR: lr, SEED: seed, DATA_SEED: 0, **others}
    events = steps * size if events is None else np.array(events, dtype=float)
    seconds = steps if seconds is None else np.array(seconds, dtype=float)
    return Curve(str(settings), settings, "budget", steps, events, values, seconds)


def study(curves, sizes=(1, 10, 100), lrs=(0.1, 1.0, 10.0), **others):
    axes = {SIZE: sizes, LR: lrs, **others}
    return Study("test", "val/loss", axes, [1.0], list(curves))


def reaching(size, lr, steps, seed=0, **others):
    """A training that holds a target of 1 from a checkpoint on; never, if the steps are None."""
    values = (9, 9, 9, 9) if steps is None else (9, 1, 1, 1)
    return curve(size, lr, seed, steps=np.array([0, 1, 2, 3]) * (steps or 10), values=values, **others)


def drawn(generator, *, seeds=5, b_crit=30.0, s_min=14.0, noise=0.3, of_seed=0.2, budget=np.inf):
    """Steps of all trainings, drawn from the model: shape (sizes, learning rates, seeds).

    The best learning rate rises with the size; the next ones, half a decade away, take 1.6 times as many steps. The
    noise is lognormal, in part each seed's own. A training that needs more than some `budget` times the steps of the
    model is stopped before; budgets are lognormal, so that some trainings at the best learning rate are stopped too.
    """
    true = s_min * (1 + b_crit / SIZES)
    best = np.array([1, 1, 2, 2, 3, 4, 4])
    worse = np.exp(0.46 * (np.arange(6) - best[:, None]) ** 2)
    shape = (len(SIZES), 6, seeds)
    noises = np.exp(noise * generator.normal(size=shape) + of_seed * generator.normal(size=seeds))
    steps = (true[:, None] * worse)[..., None] * noises
    steps[steps > budget * true[:, None, None] * np.exp(generator.normal(size=shape))] = np.inf
    return steps
