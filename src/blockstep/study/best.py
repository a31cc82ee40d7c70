"""Which trainings are shown of a study: those with the best learning rate of each batch size."""

from blockstep.study.part import parts_of
from blockstep.study.plan import Plan, Run
from blockstep.study.table import Curve, Study


def best_runs(plan: Plan, study: Study) -> list[tuple[Run, Curve]]:
    """Return the trainings with the first seed and the best learning rate of each batch size, for the headline target.

    None if no target was held.

    Args:
        plan: The plan.
        study: What was measured. With further axes, the first value of each is shown.
    """
    parts = parts_of(study)
    headline = parts[0].headline if parts else None
    curves = {curve.run: curve for curve in study.curves if curve.outcome != "failed"}
    found = []
    for size in headline.sizes if headline else ():
        chosen = (size.size, size.best.lr, *parts[0].others.values())
        run = next((run for run in plan.runs if tuple(run.settings.values())[: len(chosen)] == chosen), None)
        if run is not None and run.name in curves:
            found.append((run, curves[run.name]))
    return found
