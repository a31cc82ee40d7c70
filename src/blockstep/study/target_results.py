"""What a study says about a target: without it, each figure and table would choose the best learning rates itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from blockstep.study.critical_size import LEAST_SIZES, FitWithIntervals, fit_with_intervals, perfect_scaling
from blockstep.study.statistics import (
    RESAMPLES,
    Estimate,
    held,
    interval,
    medians,
    resampled,
    small_sample_tail,
)
from blockstep.study.table import DATA_SEED, SEED, Curve, Numbers, Study


@dataclass(frozen=True)
class Cell:
    """The trainings with one batch size and one learning rate.

    Attributes:
        lr: The learning rate.
        steps: Steps to the target, the median over seeds; infinite if fewer than half of them reach it.
        seconds: Likewise, seconds of training.
        reached: Number of trainings that reach the target.
        runs: Number of trainings, those that diverged or failed included.
    """

    lr: Any
    steps: float
    seconds: float
    reached: int
    runs: int


@dataclass(frozen=True)
class SizeResult:
    """What it takes to hold a target with one batch size.

    Attributes:
        size: The batch size as it was varied; None is all events.
        batch_size: Events of a step, the mean over the steps taken: the last batch of an epoch may be shorter.
        best: The cell of the best learning rate, which takes the fewest steps, of equal ones the smallest; if none
            reaches the target, of the one with which the most trainings do.
        steps: Steps to the target with the best learning rate, which each drawing of seeds chooses anew.
        events: Events until then.
        fastest: The cell that takes the fewest seconds.
        at_edge: Whether the best learning rate is the smallest or the largest of all, so that the true best may lie
            outside of them.
        cells: The cells of all learning rates, rising.
    """

    size: Any
    batch_size: float
    best: Cell
    steps: Estimate
    events: Estimate
    fastest: Cell
    at_edge: bool
    cells: tuple[Cell, ...]

    @property
    def is_reached(self) -> bool:
        """Whether at least half of the trainings with some learning rate reach the target."""
        return bool(np.isfinite(self.steps.value))


@dataclass(frozen=True)
class TargetResult:
    """What a study says about a target, for one value of each further axis.

    Attributes:
        target: The target.
        others: The values of the axes beyond batch size and learning rate.
        seeds: Number of seeds.
        sizes: The batch sizes that were trained with, rising.
        fit: Steps by batch size.
        no_fit: Why there is no fit; empty if there is one.
        perfect_scaling: Steps at each size if twice the batch halved them; NaN if no size reaches the target.
    """

    target: float
    others: Mapping[str, Any]
    seeds: int
    sizes: tuple[SizeResult, ...]
    fit: FitWithIntervals | None
    no_fit: str
    perfect_scaling: Numbers


@dataclass(frozen=True)
class _Grid:
    """Trainings by size, learning rate and seed; NaN where there is none.

    Attributes:
        steps: Steps to the target, shape (sizes, learning rates, seeds).
        seconds: Seconds, likewise.
        longest: Of each size, the training with the most steps.
        batch_sizes: Mean events of a step.
    """

    sizes: Sequence[Any]
    lrs: Sequence[Any]
    steps: Numbers
    seconds: Numbers
    longest: Sequence[Curve]
    batch_sizes: Numbers


def target_results(
    study: Study, target: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[TargetResult, ...]:
    """Return what a study says about a target, once for each combination of values of its further axes.

    Combinations and batch sizes without a training are left out, as are trainings whose settings are not those of the
    study's axes. A training that diverged or failed counts as one that has not reached what it had not reached by then.

    Args:
        study: The study, finished or not.
        target: The value of the metric to be held.
        resamples: Drawings of seeds for the intervals.
        seed: Seed of the drawings.

    Example:
        ```
        (result,) = target_results(study, 0.05)
        print(result.fit.b_crit if result.fit else result.no_fit)
        ```
    """
    further_axes = list(study.axes)[2:]
    results = []
    for values in product(*(study.axes[key] for key in further_axes)):
        others = dict(zip(further_axes, values, strict=True))
        curves = [curve for curve in study.curves if all(curve.settings.get(k) == v for k, v in others.items())]
        grid = _grid(study, curves, target)
        if grid is not None:
            results.append(_result(grid, target, others, resampled(grid.steps, resamples, seed)))
    return tuple(results)


def _grid(study: Study, curves: Sequence[Curve], target: float) -> _Grid | None:
    size_key, lr_key = list(study.axes)[:2]
    lrs = sorted(study.axes[lr_key], key=float)
    curves = sorted(curves, key=lambda curve: curve.run)  # so that no result depends on the order in which they ended
    curves = [c for c in curves if c.settings.get(size_key) in study.axes[size_key] and c.settings.get(lr_key) in lrs]
    sizes = sorted((size for size in study.axes[size_key] if _of(curves, size_key, size)), key=_or_infinity)
    if not sizes:
        return None
    seeds = sorted({_seed(curve) for curve in curves})
    steps = np.full((len(sizes), len(lrs), len(seeds)), np.nan)
    seconds = steps.copy()
    for curve in curves:
        place = (sizes.index(curve.settings[size_key]), lrs.index(curve.settings[lr_key]), seeds.index(_seed(curve)))
        steps[place] = held(curve.steps, curve.values, target, study.rules.further)
        seconds[place] = _at(steps[place], curve.steps, curve.seconds)
    by_size = [_of(curves, size_key, size) for size in sizes]
    longest = [max(same, key=lambda curve: _last(curve.steps)) for same in by_size]
    taken = [(sum(_last(c.events) for c in same), sum(_last(c.steps) for c in same)) for same in by_size]
    batch_sizes = np.array([events / count if count else np.nan for events, count in taken])
    return _Grid(sizes, lrs, steps, seconds, longest, batch_sizes)


def _result(grid: _Grid, target: float, others: Mapping[str, Any], drawings: Numbers) -> TargetResult:
    seeds = grid.steps.shape[-1]
    sizes = tuple(_size_result(grid, place, drawings[:, place]) for place in range(len(grid.sizes)))
    steps = np.array([result.steps.value for result in sizes])
    fitted = fit_with_intervals(grid.batch_sizes, steps, drawings, seeds)
    reached = int((np.isfinite(steps) & (steps > 0)).sum())
    no_fit = f"at least {LEAST_SIZES} batch sizes must reach the target, not at once but in some steps; {reached} do"
    line = perfect_scaling(grid.batch_sizes, steps)
    return TargetResult(target, others, seeds, sizes, fitted, "" if fitted else no_fit, line)


def _size_result(grid: _Grid, place: int, drawings: Numbers) -> SizeResult:
    steps, seconds = grid.steps[place], grid.seconds[place]
    numbers = (medians(steps), medians(seconds), np.isfinite(steps).sum(axis=-1), (~np.isnan(steps)).sum(axis=-1))
    cells = tuple(
        Cell(lr, float(s), float(t), int(reached), int(runs))
        for lr, s, t, reached, runs in zip(grid.lrs, *numbers, strict=True)
    )
    best = min(cells, key=lambda cell: (cell.steps, -cell.reached))
    seeds, curve = steps.shape[-1], grid.longest[place]
    estimate = interval(best.steps, drawings, seeds, small_sample_tail(seeds))
    events = Estimate(*(_at(number, curve.steps, curve.events) for number in estimate))
    fastest = min(cells, key=lambda cell: (cell.seconds, -cell.reached))
    at_edge = best in (cells[0], cells[-1])
    return SizeResult(
        grid.sizes[place], float(grid.batch_sizes[place]), best, estimate, events, fastest, at_edge, cells
    )


def _at(steps: float, known: Numbers, values: Numbers) -> float:
    """Return a value after some steps, of one that is known at checkpoints; infinite after infinitely many."""
    return float(np.interp(steps, known, values)) if np.isfinite(steps) else steps


def _last(counts: Numbers) -> float:
    return float(counts[-1]) if len(counts) else 0.0  # a training may have failed before its first checkpoint


def _of(curves: Sequence[Curve], key: str, value: Any) -> list[Curve]:
    return [curve for curve in curves if curve.settings.get(key) == value]


def _seed(curve: Curve) -> tuple[str, str]:
    return str(curve.settings.get(SEED)), str(curve.settings.get(DATA_SEED))


def _or_infinity(size: Any) -> float:
    return np.inf if size is None else float(size)
