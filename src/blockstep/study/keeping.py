"""Trainings that are kept as runs: without this module, none of a study's could be looked at in TensorBoard."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from blockstep.base.errors import BadInputError, RunError
from blockstep.cli.application import Application
from blockstep.runs.run_mark import finished_at
from blockstep.study.plan import Plan, Run
from blockstep.study.table import Curve
from blockstep.study.workers import for_each


@dataclass(frozen=True)
class Fit:
    """An ordinary fit: the application, and its words."""

    application: Application
    words: Sequence[str]


def keep_runs(plan: Plan, trained: Sequence[tuple[Run, Curve]], folder: Path, jobs: int) -> list[Path]:
    """Train once more, as `fit` does, to where the study has stopped: each leaves a run's folder in that of the study.

    Args:
        plan: The plan.
        trained: Which, and what was measured of each. Those that have failed are left out.
        folder: The study's.
        jobs: Trainings at the same time.

    Returns:
        The folders of the runs.

    Raises:
        RunError: If one of them could not go on.
    """
    kept = [(run, curve) for run, curve in trained if curve.outcome != "failed"]
    missing = [pair for pair in kept if not _is_kept(folder / pair[0].name)]
    for _, failure in for_each(fit, [_fit_of(plan, run, curve, folder) for run, curve in missing], jobs, None):
        if failure:
            raise RunError(failure)
    return [folder / run.name for run, _ in kept]


def fit(given: Fit) -> str:
    """Run a fit without its lines, and return what an error said; nothing without one."""
    with redirect_stdout(io.StringIO()):
        try:
            given.application.run("fit", list(given.words))
        except (BadInputError, RunError) as error:
            return str(error)
    return ""


def _fit_of(plan: Plan, run: Run, curve: Curve, folder: Path) -> Fit:
    steps = max(int(curve.steps[-1]), 1)
    end = [f"--trainer.max_steps={steps}", "--trainer.max_epochs=-1", "--on_nan=ignore"]
    place = [f"--name={run.name}", f"--trainer.default_root_dir={folder}"]
    return Fit(plan.application, [*plan.words, *run.words, *end, *place])


def _is_kept(folder: Path) -> bool:
    return any(finished_at(version) for version in folder.glob("version_*"))
