"""From arguments to trainings: without this module, a grid of settings would have to be typed one by one."""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from jsonargparse import Namespace

from blockstep.base.errors import BadInputError
from blockstep.cli.application import Application
from blockstep.study.axes import Axis, Point, combine, named, read_axes
from blockstep.study.defaults import Defaults, defaults_for
from blockstep.study.options import Budget, Options, by_size
from blockstep.study.rules import DEFAULT_RULES, Rules
from blockstep.study.table import DATA_SEED, SEED
from blockstep.study.training import LEFT_OUT, Task, Trainings, trainings

OF_THE_PLACE = (*LEFT_OUT, "default_root_dir", "enable_model_summary", "max_steps", "profiler")
"""The trainer's keys that do not change what is measured, or are a study's own."""


@dataclass(frozen=True)
class Run:
    """A training of a plan.

    Attributes:
        name: Its name.
        settings: The values of the varied keys, and the seeds.
        config: All settings.
        words: The arguments that tell it from the others.
        cell: What it has in common with those that take as long a step: the values of all varied keys but the second.
    """

    name: str
    settings: Mapping[str, Any]
    config: Namespace
    words: Sequence[str]
    cell: tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """What a study trains.

    Attributes:
        application: The model, the data and their defaults.
        name: The study's.
        words: Arguments of every training.
        axes: The varied keys and their values.
        metric: Tag of the metric.
        targets: Values of it to be held, from the easiest.
        budget: The most steps of a training.
        engine: How steps are taken.
        base: The settings that all trainings have in common, by key.
        runs: The trainings, in the order in which they start.
        seed_keys: Further keys that are given the seed of the weights.
        rules: When a training is looked at, and what ends it.
    """

    application: Application
    name: str
    words: Sequence[str]
    axes: Mapping[str, Sequence[Any]]
    metric: str
    targets: Sequence[float]
    budget: Budget
    engine: str
    base: Mapping[str, Any]
    runs: Sequence[Run]
    seed_keys: Sequence[str] = ()
    rules: Rules = DEFAULT_RULES

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What makes this study another one than one with other words; more values and seeds do not."""
        return {
            "program": self.application.name,
            "metric": self.metric,
            "targets": list(self.targets),
            "budget": {f"{size:g}": most for size, most in self.budget.epochs.items()},
            "lr_steps": self.budget.lr_steps,
            "varied": sorted(self.axes),
            "seeds": list(self.seed_keys),
            **asdict(self.rules),
            **self.base,
        }

    def digest(self, run: Run) -> str:
        """Return what a training's result is found by: a hash of all of its settings."""
        content = json.dumps([self.definition, dict(run.settings)], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def most_steps(self, run: Run, epoch_steps: int) -> int:
        """Return the last step of a training, of whose steps so many are an epoch."""
        size, lr, *_ = run.settings.values()
        return self.budget.steps(math.inf if size is None else size, lr, epoch_steps)

    def task(self, run: Run, most_steps: int) -> Task:
        """Return what a worker needs for a training."""
        return Task(self.application, self.words, run.config, self.metric, self.targets[-1], most_steps, self.rules)


def make_plan(application: Application, options: Options) -> Plan:
    """Plan a study, and build each value of a varied key once, so that what is refused is known before any training.

    Args:
        application: The model, the data, their defaults, and those of its studies.
        options: What the command line says.

    Raises:
        BadInputError: If something cannot be used.
    """
    defaults = defaults_for(application, options)
    own = trainings(application, defaults.words)
    _check(own.config, options.words)
    axes = read_axes(own, defaults.vary)
    base = {key: value for key, value in _measured(own.config) if not any(named(axis.key, key) for axis in axes)}
    return Plan(
        application=application,
        name=options.name,
        words=tuple(defaults.words),
        axes={axis.key: tuple(point.value for point in axis.points) for axis in axes},
        metric=defaults.metric,
        targets=_targets(application, defaults),
        budget=_budget(own.config, options, defaults),
        engine=str(base.get("model.engine", "eager")),
        base={key: value for key, value in base.items() if key not in (DATA_SEED, *defaults.seed_keys)},
        runs=tuple(_runs(own, axes, options, defaults.seed_keys)),
        seed_keys=defaults.seed_keys,
        rules=Rules(per_decade=options.per_decade, further=options.further, diverged=options.diverged),
    )


def _runs(own: Trainings, axes: Sequence[Axis], options: Options, seed_keys: Sequence[str]) -> Iterator[Run]:
    """Yield the trainings: all of the first seeds before those of the second, so that a part has every cell."""
    cells = [(points, combine(own, points)) for points in itertools.product(*(axis.points for axis in axes))]
    for data_seed, seed in itertools.product(*_seeds(own.config, options)):
        seeds = {SEED: seed} | ({} if data_seed is None else {DATA_SEED: data_seed})
        for points, config in cells:
            yield _run([axis.key for axis in axes], points, config, seeds, {**dict.fromkeys(seed_keys, seed), **seeds})


def _run(
    keys: Sequence[str], points: Sequence[Point], config: Namespace, seeds: Mapping[str, int], given: Mapping[str, int]
) -> Run:
    settings = {**dict(zip(keys, (point.value for point in points), strict=True)), **seeds}
    config = config.clone(with_meta=False)
    for key, value in given.items():
        config[key] = value
    words = [point.word for point in points] + [f"--{key}={value}" for key, value in given.items()]
    short = {SEED: "seed", DATA_SEED: "data"}
    parts = [f"{short.get(key, key.rpartition('.')[2])}_{_shown(value)}" for key, value in settings.items()]
    size, _, *others = (point.value for point in points)
    return Run("-".join(parts), settings, config, words, (size, *others))


def _shown(value: Any) -> str:
    return re.sub(r"[^\w.+-]+", "_", f"{value:g}" if isinstance(value, float) else str(value))


def _seeds(config: Namespace, options: Options) -> tuple[list[int | None], list[int]]:
    """The seeds of the data, none if they have no such key, and of the weights."""
    seeds = [config.seed_everything + i for i in range(options.seeds)]
    first = config.get(DATA_SEED)
    if isinstance(first, int):
        return [first + i for i in range(options.data_seeds)], seeds
    if options.data_seeds > 1:
        raise BadInputError(f"--data-seeds must be 1 for data without a seed of their own. Got {options.data_seeds}.")
    return [None], seeds


def _measured(config: Namespace) -> Iterator[tuple[str, Any]]:
    """The settings that decide what is measured."""
    left_out = {f"trainer.{key}" for key in OF_THE_PLACE}
    for key, value in vars(config.as_flat()).items():
        if key.startswith(("model.", "data.", "trainer.")) and key not in left_out:
            yield key, value if isinstance(value, str | int | float | type(None)) else str(value)


def _targets(application: Application, defaults: Defaults) -> tuple[float, ...]:
    limit = application.limit if defaults.metric == application.monitor else None
    if defaults.metric == application.monitor and application.mode == "max":
        raise BadInputError(f"--metric must be one of which smaller values are better. Got {defaults.metric!r}.")
    if limit is not None and defaults.targets[-1] <= limit:
        raise BadInputError(
            f"--targets must be above {limit:g}, below which {defaults.metric} cannot get. "
            f"Got {defaults.targets[-1]:g}."
        )
    return defaults.targets


def _budget(config: Namespace, options: Options, defaults: Defaults) -> Budget:
    epochs = options.budget or defaults.budget
    if epochs is None and (config.trainer.max_epochs or -1) < 1:
        raise BadInputError("--budget must be given, since trainer.max_epochs is none: the most epochs of a training.")
    return Budget(epochs or by_size(config.trainer.max_epochs), defaults.lr_steps)


def _check(config: Namespace, words: Sequence[str]) -> None:
    """Raise BadInputError if a setting of all trainings is one that a study decides."""
    trainer = config.trainer
    decided = {
        "ckpt_path": (config.ckpt_path is None, "a study trains from the start"),
        "trainer.fast_dev_run": (not trainer.fast_dev_run, "a study trains to its targets"),
        "trainer.devices": (trainer.devices in (1, "1"), "more trainings at a time are given by --jobs"),
        "trainer.max_steps": (trainer.max_steps == -1, "the most epochs are given by --budget"),
        "trainer.default_root_dir": (trainer.default_root_dir == "runs", "the folder of runs is given by --runs"),
        "trainer.max_epochs": (not any("trainer.max_epochs" in word for word in words), "they are given by --budget"),
    }
    for key, (kept, why) in decided.items():
        if not kept:
            raise BadInputError(f"{key} must be left at its default: {why}. Got {config[key]!r}.")
