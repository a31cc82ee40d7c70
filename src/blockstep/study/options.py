"""The command line of a study: without this module, nothing of it could be chosen."""

import argparse
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blockstep.base.errors import BadInputError
from blockstep.study.rules import Rules

VALUES = re.compile(r",(?![^\[({]*[\])}])")
"""What is between two values: a comma, but not one within brackets."""

Keep = Literal["none", "best", "all"]


@dataclass(frozen=True)
class Budget:
    """The most steps of a training.

    Attributes:
        epochs: Epochs by batch size: those of the largest size that is not above the training's. Those of 0 are for
            smaller ones.
        lr_steps: The most steps times the learning rate: a small learning rate needs many steps. None for no limit.
    """

    epochs: Mapping[float, float]
    lr_steps: float | None = None

    def steps(self, batch_size: float, lr: float, epoch_steps: int) -> int:
        """Return the most steps of a training, at least `FEWEST`.

        Args:
            batch_size: The first varied key's value.
            lr: The second's.
            epoch_steps: Steps of an epoch.
        """
        size = max(known for known in self.epochs if known <= batch_size)
        limits = [self.epochs[size] * epoch_steps] + ([] if self.lr_steps is None else [self.lr_steps / lr])
        return max(FEWEST, int(min(limits)))


FEWEST = 8
"""The fewest steps that a budget gives."""


@dataclass(frozen=True)
class Options:
    """What the command line says, as far as it is not about the trainings.

    Attributes:
        vary: The varied keys, with their values as texts; those of the command line alone.
        seeds: Number of seeds of the weights.
        data_seeds: Number of seeds of the data.
        targets: Values of the metric to be held, from the easiest; None for the application's.
        metric: Tag of the metric; None for the application's.
        budget: Epochs by batch size; None for the application's.
        lr_steps: The most steps times the learning rate; None for the application's, or none beside a budget.
        per_decade: Checkpoints from one power of ten of steps to the next.
        further: Further checkpoints at which a target must hold.
        diverged: A training has diverged when its metric exceeds its start by more than so many times the start's
            size.
        engine: How steps are taken; None for the application's.
        name: The study's.
        jobs: Trainings at the same time.
        scheduler: Address of a Dask scheduler.
        keep: Which runs are kept as folders.
        runs: The folder of all runs.
        report: Whether only to write the report of what is finished.
        words: Arguments of every training.
    """

    vary: Mapping[str, tuple[str, ...]]
    seeds: int
    data_seeds: int
    targets: tuple[float, ...] | None
    metric: str | None
    budget: Mapping[float, float] | None
    lr_steps: float | None
    per_decade: int
    further: int
    diverged: float
    engine: str | None
    name: str
    jobs: int
    scheduler: str | None
    keep: Keep
    runs: Path
    report: bool
    words: Sequence[str]


def read_options(program: str, args: Sequence[str]) -> Options:
    """Read the arguments of a study.

    Args:
        program: The program's name and the command's.
        args: The arguments. Those that are not a study's are every training's.

    Raises:
        BadInputError: If one of them is out of its range.
    """
    try:
        words, others = option_parser(program).parse_known_args(list(args))
    except argparse.ArgumentError as error:
        raise BadInputError(f"{error}\n{program} --help lists the options.") from error
    given = vars(words)
    axes: list[tuple[str, tuple[str, ...]]] = given.pop("vary") or []
    vary = dict(axes)
    if len(vary) < len(axes):
        raise BadInputError(f"--vary must name each key once. Got {', '.join(key for key, _ in axes)}.")
    return Options(vary=vary, words=others, **given)


def option_parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of a study's own options.

    Args:
        program: The program's name and the command's.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Trains over a grid of settings, and writes a report: which batch size, and why. Options that are "
        "not listed here are those of fit, and are given to every training. The same words go on with a study that was "
        "interrupted; more sizes or seeds add trainings to it.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    add = parser.add_argument
    add("--vary", type=_axis, action="append", metavar="KEY=V1,V2,…", help="values of a key: the batch size, the "
        "learning rate, then any others; in place of the default values if it is one of the default keys")  # fmt: skip
    add("--seeds", type=_count, default=5, metavar="N", help="seeds of the weights (default: 5)")
    add("--data-seeds", type=_count, default=1, metavar="N", help="seeds of the data, for each of them (default: 1)")
    add("--targets", type=_numbers, metavar="T1,T2,…", help="values of the metric that are to be held")
    add("--metric", help="tag of the metric that is judged by, of which smaller values are better")
    add("--budget", type=_epochs, metavar="EPOCHS", help="most epochs of a training; by batch size as in "
        "1:20,3:33,100:110, where each holds up to the next size")  # fmt: skip
    add("--lr-steps", type=_positive, metavar="N", help="most steps of a training, times its learning rate: a large "
        "one needs fewer (default: the application's, unless --budget is given)")  # fmt: skip
    add("--per-decade", type=_count, default=Rules.per_decade, metavar="N", help="checkpoints at which the metric is "
        f"looked at, from one power of ten of steps to the next (default: {Rules.per_decade})")  # fmt: skip
    add("--further", type=_whole, default=Rules.further, metavar="N", help="further checkpoints at which a target must "
        f"hold; with 0, a lucky one is enough (default: {Rules.further})")  # fmt: skip
    add("--diverged", type=_positive, default=Rules.diverged, metavar="X", help="a training has diverged when its "
        f"metric exceeds its start by more than X times the start's size (default: {Rules.diverged:g})")  # fmt: skip
    add("--engine", help="how steps are taken, as in model.engine")
    add("--name", default="study", help="name of the study, whose folder is NAME in the folder of runs "
        "(default: study)")  # fmt: skip
    add("--jobs", type=_count, default=1, metavar="N", help=f"trainings at the same time, of {os.cpu_count()} "
        "processors (default: 1)")  # fmt: skip
    add("--scheduler", metavar="ADDRESS", help="address of a Dask scheduler whose workers train, as in "
        "tcp://host:8786")  # fmt: skip
    add("--keep", choices=("none", "best", "all"), default="none", help="trainings that leave a run's folder too "
        "(default: none)")  # fmt: skip
    add("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="folder of all runs (default: runs)")
    add("--report", action="store_true", help="train nothing: write the report of what is finished")
    return parser


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    key, _, values = text.partition("=")
    given = tuple(value.strip() for value in VALUES.split(values))
    if not (key and all(given)):
        raise argparse.ArgumentTypeError(f"must be a key and its values, as in data.batch_size=1,10. Got {text!r}.")
    return key.removeprefix("--"), given


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1. Got {text!r}.")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0. Got {text!r}.")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0. Got {text!r}.")
    return number


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"must be numbers, as in .1,.05. Got {text!r}.")
    return tuple(sorted(set(numbers), reverse=True))


def _epochs(text: str) -> Mapping[float, float]:
    try:
        pairs = [part.partition(":") for part in text.split(",")]
        epochs = {float(size) if colon else 0.0: float(most if colon else size) for size, colon, most in pairs}
    except ValueError:
        epochs = {}
    if not epochs or not all(number > 0 for number in epochs.values()):
        raise argparse.ArgumentTypeError(f"must be numbers of epochs above 0, as in 20 or 1:20,3:33. Got {text!r}.")
    return by_size(epochs)


def by_size(epochs: Any) -> dict[float, float]:
    """Return epochs by batch size: a single number is for all sizes, and the first size's for smaller ones too.

    Args:
        epochs: A number, or a mapping from sizes to numbers.
    """
    if not isinstance(epochs, Mapping):
        return {0.0: float(epochs)}
    smallest = min(epochs)
    return {0.0: float(epochs[smallest]), **{float(size): float(most) for size, most in epochs.items()}}
