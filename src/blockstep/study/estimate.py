"""A few steps of each kind of training: without them, neither the time nor a misspelt metric would be known before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blockstep.base.errors import BadInputError
from blockstep.study.plan import Plan, Run
from blockstep.study.training import Trained, train
from blockstep.study.watch import log_spaced
from blockstep.study.workers import for_each

TRIAL_STEPS, TRIAL_SECONDS = 100, 0.3
"""Where a trial ends. Nothing of it is kept."""


@dataclass(frozen=True)
class Pace:
    """How long a kind of training takes.

    Attributes:
        epoch_steps: Steps of an epoch.
        step: Seconds of a step.
        validation: Seconds of a validation.
        start: Seconds of everything else.
        per_decade: Checkpoints from one power of ten of steps to the next.
    """

    epoch_steps: int
    step: float
    validation: float
    start: float
    per_decade: int

    def seconds(self, steps: int) -> float:
        """Return the seconds of a training of so many steps."""
        return self.start + steps * self.step + (1 + len(log_spaced(steps, self.per_decade))) * self.validation


@dataclass(frozen=True)
class Estimate:
    """The most that the trainings of a plan may take.

    Attributes:
        paces: By `Run.cell`.
        notes: What the trials have printed about themselves.
    """

    paces: Mapping[tuple[Any, ...], Pace]
    notes: Sequence[str]

    def epoch_steps(self, run: Run) -> int:
        """Return the steps of an epoch of a training."""
        return self.paces[run.cell].epoch_steps

    def seconds(self, run: Run, steps: int) -> float:
        """Return the seconds of a training that takes so many steps."""
        return self.paces[run.cell].seconds(steps)


def measure(plan: Plan, runs: Sequence[Run], jobs: int, scheduler: str | None) -> Estimate:
    """Try each kind of training for a few steps.

    Args:
        plan: The plan.
        runs: Those of its trainings that are to come.
        jobs: Trainings at the same time.
        scheduler: Address of a Dask scheduler.

    Raises:
        BadInputError: If a kind of training fails, the metric is not logged, or no target is within reach of it.
    """
    kinds = list({run.cell: run for run in reversed(runs)}.values())
    tasks = [replace(plan.task(run, TRIAL_STEPS), most_seconds=TRIAL_SECONDS) for run in kinds]
    trials = [trial for _, trial in sorted(for_each(train, tasks, jobs, scheduler), key=lambda pair: pair[0])]
    for run, trial in zip(kinds, trials, strict=True):
        _check(plan, run, trial)
    start = min(_start(trial) for trial in trials)
    paces = {run.cell: _pace(trial, start, plan.rules.per_decade) for run, trial in zip(kinds, trials, strict=True)}
    lines = (line for trial in trials for line in trial.said.splitlines() if line.startswith("engine: "))
    return Estimate(paces, tuple(dict.fromkeys(lines)))


def _check(plan: Plan, run: Run, trial: Trained) -> None:
    if trial.message:
        raise BadInputError(f"{run.name}: {trial.message}")
    start = trial.watch.values[0]
    if plan.metric not in trial.watch.logged:
        known = ", ".join(trial.watch.logged) or "it logs none"
        raise BadInputError(f"--metric must be one that the model logs in validation: {known}. Got {plan.metric!r}.")
    if plan.targets[0] >= start:
        raise BadInputError(
            f"--targets must be below {plan.metric} before the first step, {start:.4g} in {run.name}. "
            f"Got {plan.targets[0]:g}."
        )


def _pace(trial: Trained, start: float, per_decade: int) -> Pace:
    watch = trial.watch
    first = 1 if len(watch.steps) > 2 else 0  # noqa: PLR2004 - the first step initializes much
    steps, seconds = (values[-1] - values[first] for values in (watch.steps, watch.seconds))
    return Pace(trial.epoch_steps, seconds / max(steps, 1), watch.validating / len(watch.steps), start, per_decade)


def _start(trial: Trained) -> float:
    return max(trial.seconds - trial.watch.seconds[-1] - trial.watch.validating, 0.0)
