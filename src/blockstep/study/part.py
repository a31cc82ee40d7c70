"""A part of a study that figures can show: all targets, for one value of each axis after the first two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from blockstep.study.names import title_of
from blockstep.study.step_time import step_seconds
from blockstep.study.table import Curve, Study
from blockstep.study.target_results import SizeResult, TargetResult, target_results

COMPARED = 2
"""The fewest that can be compared."""


@dataclass(frozen=True)
class Part:
    """What a study says about all of its targets, for one value of each further axis.

    Attributes:
        study: The study.
        others: The values of the further axes.
        goals: The targets, from the easiest.
    """

    study: Study
    others: Mapping[str, Any]
    goals: Sequence[TargetResult]

    @property
    def title(self) -> str:
        """The values of the further axes as a line; empty without further axes."""
        return title_of(self.others)

    @property
    def sizes(self) -> list[Any]:
        """The batch sizes as they were varied, rising."""
        return [result.size for result in self.goals[0].sizes]

    @property
    def rates(self) -> list[Any]:
        """The learning rates, rising."""
        return [cell.lr for cell in self.goals[0].sizes[0].cells]

    @cached_property
    def headline(self) -> TargetResult | None:
        """The target that the answer is about: of those held with most batch sizes, the one nearest to the middle.

        None if no target was held.
        """
        counts = [len(reached(goal)) for goal in self.goals]
        middle = (len(counts) - 1) / 2
        likely = [(abs(place - middle), place) for place, count in enumerate(counts) if count == max(counts)]
        return self.goals[min(likely)[1]] if max(counts) else None

    @cached_property
    def common_rate(self) -> Any:
        """The learning rate at which batch sizes are compared: the best of the smallest one, with which all are stable.

        If no target was held, the one in the middle.
        """
        return reached(self.headline)[0].best.lr if self.headline else self.rates[len(self.rates) // 2]

    def seconds(self, result: SizeResult) -> float:
        """Return the seconds of the steps that a batch size takes with its best learning rate."""
        return result.steps.value * self._step_seconds[result.size]

    @cached_property
    def _step_seconds(self) -> dict[Any, float]:
        return {size: step_seconds(self.curves_at(size)) for size in self.sizes}

    def curves_at(self, size: Any, rate: Any = None) -> list[Curve]:
        """Return the trainings with a batch size and a learning rate; without one, with all."""
        size_key, rate_key = list(self.study.axes)[:2]
        wanted = {size_key: size, **self.others} | ({} if rate is None else {rate_key: rate})
        return [c for c in self.study.curves if all(c.settings.get(key) == value for key, value in wanted.items())]


def parts_of(study: Study) -> list[Part]:
    """Return the parts of a study; those without a training are left out."""
    rows = zip(*(target_results(study, target) for target in study.targets), strict=True)
    return [Part(study, goals[0].others, goals) for goals in rows]


def reached(goal: TargetResult) -> list[SizeResult]:
    """Return the batch sizes with which at least half of the trainings hold a target, rising."""
    return [result for result in goal.sizes if result.is_reached]
