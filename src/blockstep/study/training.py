"""One training of a study in this process: without it, each would take the second that a `fit` needs to be set up."""

import gc
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything

from blockstep.base.errors import BadInputError
from blockstep.blocks.trainer_steps import callbacks_of
from blockstep.cli.application import Application
from blockstep.cli.lightning_cli import CommandLine, NoProfiler
from blockstep.cli.messages import describe, translate_errors
from blockstep.cli.quiet import quiet
from blockstep.cli.settings import parse
from blockstep.runs.graceful_stop import HandleSignals
from blockstep.study.curve_noise import noise_at
from blockstep.study.rules import DEFAULT_RULES, Rules
from blockstep.study.table import Curve, Numbers
from blockstep.study.watch import Watch

LEFT_OUT: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "num_sanity_val_steps": 0,
    "max_epochs": -1,  # the steps are limited
}
"""The trainer's arguments that leave out what is not kept of a training."""


@dataclass(frozen=True)
class Task:
    """What a worker needs for a training.

    Attributes:
        application: The model, the data and their defaults.
        words: The arguments that all trainings of the study have in common.
        config: All settings of this one.
        metric: Tag of the metric that is watched.
        target: The last target.
        most_steps: The last step.
        rules: What the checkpoints are, and what ends a training.
        most_seconds: The training stops at a checkpoint after this time.
    """

    application: Application
    words: Sequence[str]
    config: Namespace
    metric: str
    target: float
    most_steps: int
    rules: Rules = DEFAULT_RULES
    most_seconds: float = float("inf")


@dataclass
class Trained:
    """What has come of a training.

    Attributes:
        watch: What it has measured.
        epoch_steps: Steps of an epoch.
        seconds: Seconds in all, its set-up and its validations among them.
        message: What an error said; empty without one.
        said: What was printed.
        noise: The gradient noise scale at each of the checkpoints, if a callback has measured it.
    """

    watch: Watch
    epoch_steps: int = 0
    seconds: float = 0.0
    message: str = ""
    said: str = ""
    noise: Numbers = field(default_factory=lambda: np.empty(0))

    def curve(self, run: str, settings: Mapping[str, Any], *, alone: bool) -> Curve:
        """Return what was measured as a curve of a study.

        Args:
            run: The training's name.
            settings: The values of the varied keys.
            alone: Whether no other training ran at the same time.
        """
        watch = self.watch
        return Curve(
            run=run,
            settings=settings,
            outcome=watch.outcome,
            steps=np.array(watch.steps, np.float64),
            events=np.array(watch.events, np.float64),
            values=np.array(watch.values, np.float64),
            seconds=np.array(watch.seconds, np.float64),
            message=self.message,
            alone=alone,
            noise=self.noise,
        )


class Trainings(CommandLine):
    """Build one training after another, all from one parser, as `fit` would build them, without what is kept of a run.

    Args:
        application: The model, the data and their defaults.
        words: Arguments of a `fit`.
    """

    def __init__(self, application: Application, words: Sequence[str]) -> None:
        super().__init__(application, "fit", list(words))
        self._programs: dict[str, dict[Any, Any]] = {}

    def instantiate_classes(self) -> None:
        """Build nothing yet."""

    def parse(self, words: Sequence[str]) -> Namespace:
        """Return all settings of a training with further arguments.

        Raises:
            BadInputError: If they do not parse.
        """
        with quiet(), translate_errors():
            config: Namespace = parse(self.parser, "fit", [*self.args, *words], self._saved)[0]
        return config

    def build(
        self, config: Namespace, callbacks: Sequence[Callback], most_steps: int
    ) -> tuple[Trainer, LightningModule, LightningDataModule]:
        """Build a training.

        Args:
            config: All of its settings.
            callbacks: What is to watch it, beside the callbacks of its settings.
            most_steps: Its last step.
        """
        seed_everything(config.seed_everything, workers=True, verbose=False)
        built = self.parser.instantiate_classes(config)
        self._share_programs(config.model, built.model)
        own = built.trainer.callbacks or []
        options = {**built.trainer, **LEFT_OUT, "max_steps": most_steps}
        options["callbacks"] = [HandleSignals(), *(own if isinstance(own, list) else [own]), *callbacks]
        options["profiler"] = built.trainer.profiler or NoProfiler()
        return Trainer(**options), built.model, built.data

    def _share_programs(self, settings: Namespace, model: LightningModule) -> None:
        """Let an engine that compiles use the programs of a model with the same arguments but for the optimizer's."""
        share = getattr(getattr(model, "engine", None), "share", None)
        if share is not None:
            key = str({name: value for name, value in vars(settings).items() if name != "optimizer"})
            share(self._programs.setdefault(key, {}))


_KNOWN: dict[tuple[str, ...], Trainings] = {}


def trainings(application: Application, words: Sequence[str]) -> Trainings:
    """Return the trainings with these words in common; the parser is built once in a process."""
    key = (application.name, application.model, application.data, *words)
    if key not in _KNOWN:
        with quiet(), translate_errors():
            _KNOWN[key] = Trainings(application, words)
        gc.freeze()  # what was imported is no garbage; a worker would look through it again and again
    return _KNOWN[key]


def train(task: Task, *callbacks: Callback, finished: Callable[[LightningModule], None] | None = None) -> Trained:
    """Train, and return what was measured. An error ends this training alone.

    Args:
        task: The training.
        callbacks: What is to watch it besides.
        finished: Called with the trained model.
    """
    watch = Watch(task.metric, task.target, task.most_steps, task.rules, task.most_seconds)
    trained, said, start = Trained(watch), io.StringIO(), time.perf_counter()
    try:
        own = trainings(task.application, task.words)
        with redirect_stdout(said), quiet():
            trainer, model, data = own.build(task.config, [watch, *callbacks], task.most_steps)
            trainer.fit(model, data)
            trained.noise = noise_at(watch.steps, callbacks_of(trainer))
            trained.epoch_steps = int(trainer.num_training_batches)
            if finished is not None:
                finished(model)
    except BadInputError as error:
        trained.message = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other trainings go on, and its row says so
        trained.message = describe(error)
    trained.seconds, trained.said = time.perf_counter() - start, said.getvalue()
    if trained.message:
        watch.outcome = "failed"
    return trained
