"""A study's answer in sentences: without it, a reader would have to take numbers off figures."""

from collections.abc import Callable
from typing import Any

import numpy as np

from blockstep.study.names import as_text, label, listed, seconds_text, with_range
from blockstep.study.part import COMPARED, Part, reached
from blockstep.study.table import DATA_SEED, SEED
from blockstep.study.target_results import SizeResult, TargetResult

ENOUGH_SEEDS = 5
"""From so many on, a 90 % interval of the critical batch size holds the truth in nine of ten cases (critical_size)."""

SAME = 1.5
"""Steps that differ by no more than this factor are called the same: seeds alone make them differ as much."""


def answer(part: Part) -> list[str]:
    """Return what a study has found: three sentences with its numbers, or one that says why there are none."""
    goal = part.headline
    if goal is None:
        targets = listed([label(target) for target in part.study.targets])
        return [
            f"No batch size has held a target of {part.study.metric} ({targets}): give a larger budget, other learning "
            "rates, or easier targets."
        ]
    return [_critical(part, goal), _same_rate(part, goal), _prices(part, goal)]


def warnings(part: Part) -> list[str]:
    """Return what a reader must know before believing the numbers."""
    of_goals = [warning for goal in part.goals for warning in (_at_edge(goal), _not_held(goal)) if warning]
    return [*_few_seeds(part), *of_goals, *_failed(part)]


def _few_seeds(part: Part) -> list[str]:
    seeds = len({(curve.settings.get(SEED), curve.settings.get(DATA_SEED)) for curve in part.study.curves})
    if seeds >= ENOUGH_SEEDS:
        return []
    return [
        f"Intervals from {seeds} seed(s) are too narrow: with 3, they hold the truth in three cases of four, not in "
        f"nine of ten. Give --seeds {ENOUGH_SEEDS} or more."
    ]


def _critical(part: Part, goal: TargetResult) -> str:
    to_hold = f"To hold {part.study.metric} at {label(goal.target)}"
    if goal.fit is None:
        return f"{to_hold}, no critical batch size can be told: {goal.no_fit}."
    if not 0 < goal.fit.best.b_crit < np.inf:
        return f"{to_hold}, {_outside(below=goal.fit.best.b_crit == 0)}."
    return (
        f"{to_hold}, {with_range(*goal.fit.b_crit)} events is the critical batch size: well below it, twice the batch "
        f"size takes half the steps; well above it, it takes twice the events, since the steps do not fall below "
        f"{as_text(goal.fit.best.s_min)}."
    )


def _outside(*, below: bool) -> str:
    if below:
        return "the critical batch size lies below all that were tried: a larger batch takes as many steps"
    return "the critical batch size lies above all that were tried: twice the batch size takes half the steps"


def _same_rate(part: Part, goal: TargetResult) -> str:
    """Compare the steps at one learning rate, for the target that most sizes hold there, and name the best rates."""
    shared = max(part.goals, key=lambda goal: (len(_steps_at(goal, part.common_rate)), -goal.target))
    steps = _steps_at(shared, part.common_rate)
    best = _best_rates(reached(goal))
    if len(steps) < COMPARED:
        return f"{best[0].upper()}{best[1:]}."
    low, high = min(steps.values()), max(steps.values())
    to_hold = f"to hold {label(shared.target)}, the batch sizes {listed(list(steps))} take"
    same = "progress counts steps: " if high <= SAME * low else ""
    rate = f"At one learning rate, {label(part.common_rate)}"
    return f"{rate}, {same}{to_hold} {as_text(low)} to {as_text(high)} steps; {best}."


def _steps_at(goal: TargetResult, rate: Any) -> dict[str, float]:
    """Return the steps of the batch sizes that hold a target at a learning rate."""
    cells = {label(result.size): cell for result in goal.sizes for cell in result.cells if cell.lr == rate}
    return {size: cell.steps for size, cell in cells.items() if np.isfinite(cell.steps)}


def _best_rates(results: list[SizeResult]) -> str:
    first, last = results[0], results[-1]
    if first is last:
        return f"the best learning rate at batch size {label(first.size)} is {label(first.best.lr)}"
    ends = f"at batch size {label(first.size)} and {label(last.best.lr)} at {label(last.size)}"
    if float(last.best.lr) > float(first.best.lr):
        return f"a larger batch size bears a larger learning rate, the best being {label(first.best.lr)} {ends}"
    return f"the best learning rate is {label(first.best.lr)} {ends}"


def _prices(part: Part, goal: TargetResult) -> str:
    """Name the batch sizes with the fewest events, the fewest steps and the least time."""
    results = reached(goal)
    events = _least(results, lambda result: result.events.value)
    steps = _least(results, lambda result: result.steps.value)
    fast = _least(results, part.seconds)
    beside = "" if part.study.timed_alone else ", timed beside other trainings"
    return (
        f"With the best learning rate of each, batch size {label(events.size)} takes the fewest events "
        f"({as_text(events.events.value)}, in {as_text(events.steps.value)} steps), {label(steps.size)} the fewest "
        f"steps ({as_text(steps.steps.value)}, with {as_text(steps.events.value)} events), and {label(fast.size)} the "
        f"least time ({seconds_text(part.seconds(fast))}; engine {part.study.engine}{beside})."
    )


def _least(results: list[SizeResult], number: Callable[[SizeResult], float]) -> SizeResult:
    return min(results, key=number)


def _at_edge(goal: TargetResult) -> str:
    """Warn of best learning rates beyond which none was tried."""
    sizes = [f"{label(r.size)} ({label(r.best.lr)})" for r in reached(goal) if r.at_edge and len(r.cells) > 1]
    if not sizes:
        return ""
    return (
        f"To hold {label(goal.target)}, the best learning rate lies at the edge of those tried, at batch size "
        f"{listed(sizes)}: beyond it, fewer steps may do. Add learning rates there."
    )


def _not_held(goal: TargetResult) -> str:
    sizes = [label(result.size) for result in goal.sizes if not result.is_reached]
    if not sizes:
        return ""
    return (
        f"At batch size {listed(sizes)}, no learning rate let half of the seeds hold {label(goal.target)}: it may take "
        "a larger budget."
    )


def _failed(part: Part) -> list[str]:
    failed = [curve for curve in part.study.curves if curve.outcome == "failed"]
    if not failed:
        return []
    return [f"{len(failed)} of {len(part.study.curves)} trainings failed. The first error: {failed[0].message}"]
