"""Which trainings are shown of a study: those with the best learning rate of each batch size."""

from blockstep.study.part import parts_of
from blockstep.study.plan import Plan, Run
from blockstep.study.table import Curve, Study


def best_runs(plan: Plan, study: Study) -> list[tuple[Run, Curve]]:
    """Return the trainings with the first seed and the best learning rate of each batch size, for the headline target.

    None of a part of the study in which no target was held.

    Args:
        plan: The plan.
        study: What was measured.
    """
    curves = {curve.run: curve for curve in study.curves if curve.outcome != "failed"}
    found = []
    for part in parts_of(study):
        for size in part.headline.sizes if part.headline else ():
            chosen = (size.size, size.best.lr, *part.others.values())
            run = next((run for run in plan.runs if tuple(run.settings.values())[: len(chosen)] == chosen), None)
            if run is not None and run.name in curves:
                found.append((run, curves[run.name]))
    return found
