"""The command `study`: which batch size, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from blockstep.base.errors import BadInputError, Interrupted, InterruptedRunError, RunError
from blockstep.study.options import Options, read_options

if TYPE_CHECKING:
    from blockstep.cli.application import Application
    from blockstep.study.estimate import Estimate
    from blockstep.study.plan import Plan, Run
    from blockstep.study.store import Store
    from blockstep.study.table import Curve, Study

LIBRARIES = ("joblib", "scipy")


def study(application: "Application", command: str, args: Sequence[str]) -> None:
    """Train over a grid of settings, and write a table and a report.

    Args:
        application: The model, the data and their defaults.
        command: The command's name.
        args: Its arguments.

    Raises:
        BadInputError: If the arguments cannot be used.
        RunError: If every training has failed.
        InterruptedRunError: If a signal has ended it. What is finished is kept.
    """
    options = read_options(f"{application.name} {command}", args)
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise BadInputError(f"{command} needs further libraries: pip install {' '.join(missing)}")
    from blockstep.study.plan import make_plan
    from blockstep.study.store import Store

    store, words = Store(options.runs, options.name), list(args)
    if options.report:
        _check_alone(f"{application.name} {command}", options)
        words = store.words
        options = read_options(f"{application.name} {command}", [*words, f"--runs={options.runs}", "--report"])
    plan = make_plan(application, options)
    store.check(plan)
    curves = store.finished(plan)
    try:
        if not options.report:
            curves |= _train(plan, store, curves, options, words)
        _report(plan, store, curves, options)
    finally:
        store.release()


def _check_alone(program: str, options: Options) -> None:
    """Raise BadInputError if more is given than which study's report is to be written."""
    if options != read_options(program, ["--report", f"--name={options.name}", f"--runs={options.runs}"]):
        raise BadInputError(
            "--report takes --name and --runs alone: it is of what was trained by the words that the study was started "
            "with. Give these without --report to go on, or others under another --name."
        )


def _train(
    plan: "Plan", store: "Store", finished: "Mapping[str, Curve]", options: Options, words: Sequence[str]
) -> "dict[str, Curve]":
    """Train what is not finished, and return its curves."""
    from blockstep.study.estimate import measure

    left = [run for run in plan.runs if plan.digest(run) not in finished]
    if not left:
        store.start(plan, words)
        return {}
    estimate = measure(plan, left, options.jobs, options.scheduler)
    store.start(plan, words)
    try:
        return _train_all(plan, left, estimate, store, options)
    except Interrupted as stop:
        done = len(store.finished(plan))
        raise InterruptedRunError(
            f"after {done} of {len(plan.runs)} trainings, which are kept. The same words go on with it; "
            f"study --name {options.name} --runs {options.runs} --report shows what there is.",
            stop.number,
        ) from None


def _train_all(
    plan: "Plan", runs: "Sequence[Run]", estimate: "Estimate", store: "Store", options: Options
) -> "dict[str, Curve]":
    from blockstep.study.progress import Progress
    from blockstep.study.training import train
    from blockstep.study.workers import for_each, workers_of

    steps = [plan.most_steps(run, estimate.epoch_steps(run)) for run in runs]
    seconds = [estimate.seconds(run, most) for run, most in zip(runs, steps, strict=True)]
    workers = workers_of(options.jobs, options.scheduler)
    _announce(plan, runs, steps, sum(seconds) / workers, estimate.notes)
    tasks = [plan.task(run, most) for run, most in zip(runs, steps, strict=True)]
    progress, curves, alone = Progress(seconds, workers), {}, workers == 1 and options.scheduler is None
    try:
        for place, trained in for_each(train, tasks, options.jobs, options.scheduler):
            digest, curve = plan.digest(runs[place]), trained.curve(runs[place].name, runs[place].settings, alone=alone)
            store.keep(digest, curve)
            curves[digest] = curve
            progress.finish_one(seconds[place])
    finally:
        progress.close()
    return curves


def _announce(plan: "Plan", runs: "Sequence[Run]", steps: list[int], seconds: float, notes: Sequence[str]) -> None:
    """Say what is to come."""
    from blockstep.study.progress import in_words

    for note in notes:
        print(note)
    done = len(plan.runs) - len(runs)
    finished = f", of which {done} are finished," if done else ""
    print(
        f"{len(plan.runs)} trainings{finished} over {', '.join(plan.axes)} and seeds: at most {sum(steps):,} steps and "
        f"{in_words(seconds)}; most of them end earlier",
        flush=True,
    )


def _report(plan: "Plan", store: "Store", curves: "Mapping[str, Curve]", options: Options) -> None:
    """Write the table and the report, and keep the runs that are asked for."""
    from blockstep.base.atomic_files import write_atomically
    from blockstep.study.best import best_runs
    from blockstep.study.keeping import keep_runs
    from blockstep.study.pictures import draw_best
    from blockstep.study.report import write_report
    from blockstep.study.table import as_csv

    if not curves:
        raise BadInputError(f"--report needs trainings that are finished. Got none in {store.folder}.")
    write_atomically(store.folder / "study.csv", as_csv(curves.values()).encode())
    _say_failures(list(curves.values()))
    study = _study(plan, curves)
    best = best_runs(plan, study)
    write_report(replace(study, frames=draw_best(plan, best, options.jobs, options.scheduler)), store.folder)
    every = [(run, curves[digest]) for run in plan.runs if (digest := plan.digest(run)) in curves]
    if kept := keep_runs(plan, {"none": [], "best": best, "all": every}[options.keep], store.folder, options.jobs):
        print(f"{len(kept)} runs are kept, as {kept[0]} is")
    print(f"table and report: {store.folder}")


def _say_failures(curves: "Sequence[Curve]") -> None:
    failed = [curve for curve in curves if curve.outcome == "failed"]
    if len(failed) == len(curves):
        raise RunError(f"all {len(failed)} trainings have failed. {failed[0].run}: {failed[0].message}")
    if failed:
        print(f"{len(failed)} of {len(curves)} trainings have failed, as {failed[0].run} has: {failed[0].message}")


def _study(plan: "Plan", curves: "Mapping[str, Curve]") -> "Study":
    from blockstep.study.table import Study

    return Study(
        name=plan.name,
        metric=plan.metric,
        axes=plan.axes,
        targets=plan.targets,
        curves=tuple(curves.values()),
        engine=plan.engine,
        rules=plan.rules,
        start=_about(plan, curves),
    )


def _about(plan: "Plan", curves: "Mapping[str, Curve]") -> tuple[str, ...]:
    lines = [f"{len(curves)} of {len(plan.runs)} trainings are finished"] if len(curves) < len(plan.runs) else []
    return (*lines, *(f"{key}: {value}" for key, value in plan.base.items() if key.startswith("model.")))
