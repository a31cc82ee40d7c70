"""The defaults of a study: without this module, an application could not say what is worth varying in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockstep.base.errors import BadInputError
from blockstep.cli.application import Application
from blockstep.cli.classes import choose_classes, foreign_classes
from blockstep.cli.named_configs import find_configs
from blockstep.study.options import Options, by_size

KEYS = ("vary", "settings", "targets", "metric", "budget", "lr_steps", "engine", "seeds")
"""What `Application.study` may hold: values by varied key; settings of every training; what the options are called;
further keys that are given the seed of the weights."""

BATCH_SIZES, RATES = ("batch_size",), ("lr", "learning_rate")
"""The last parts of the keys that come first, and second."""


@dataclass(frozen=True)
class Defaults:
    """What a study is made of, after the command line.

    Attributes:
        vary: Texts of the values, by varied key.
        words: Arguments of every training.
        metric: Tag of the metric.
        targets: From the easiest.
        budget: Epochs by batch size; None for those of the trainer.
        lr_steps: The most steps times the learning rate.
        seed_keys: Further keys that are given the seed of the weights.
    """

    vary: Mapping[str, Sequence[str]]
    words: Sequence[str]
    metric: str
    targets: tuple[float, ...]
    budget: Mapping[float, float] | None
    lr_steps: float | None
    seed_keys: tuple[str, ...]


def defaults_for(application: Application, options: Options) -> Defaults:
    """Lay what the command line says over an application's defaults.

    Args:
        application: Its `study` has some of `KEYS`.
        options: What the command line says.

    Raises:
        BadInputError: If something has no default and is not given.
    """
    given = {**dict.fromkeys(KEYS), **application.study}
    others = _replaced(application, list(options.words))
    own = {key: [_text(value) for value in values] for key, values in (given["vary"] or {}).items()}
    vary: dict[str, Sequence[str]] = {**_without(own, others), **options.vary}
    settings = _without(given["settings"] or {}, others)
    engine = options.engine or (given["engine"] if "model." not in others else None)
    words = [f"--{key}={_text(value)}" for key, value in settings.items()]
    words += [f"--model.engine={engine}"] if engine else []
    targets = options.targets or tuple(sorted(given["targets"] or (), reverse=True))
    if not targets:
        raise BadInputError("--targets must be given: values of the metric that are to be held, as in --targets .1,.05")
    return Defaults(
        vary=_ordered(vary),
        words=[*words, *options.words],
        metric=options.metric or given["metric"] or (application.monitor if "model." not in others else "val/loss"),
        targets=targets,
        budget=None if given["budget"] is None else by_size(given["budget"]),
        lr_steps=_lr_steps(given["lr_steps"], options, others),
        seed_keys=tuple(key for key in given["seeds"] or () if not key.startswith(others)),
    )


def _lr_steps(default: float | None, options: Options, others: tuple[str, ...]) -> float | None:
    """A budget that is given is the only limit, unless another is given; and another model has another scale."""
    is_own = options.budget is None and "model." not in others
    return options.lr_steps if options.lr_steps is not None else default if is_own else None


def _replaced(application: Application, words: list[str]) -> tuple[str, ...]:
    """The beginnings of keys of the classes that the words put in place of the application's."""
    classes = choose_classes(application, find_configs(application.configs, words))[0]
    return tuple(f"{key}." for key in foreign_classes(application, classes))


def _without(settings: Mapping[str, Any], others: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if not key.startswith(others)}  # nothing starts with ()


def _ordered(vary: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Put the batch size first, and then the learning rate."""
    keys = sorted(vary, key=lambda key: (_is(key, BATCH_SIZES), _is(key, RATES)), reverse=True)
    if len(keys) < len((BATCH_SIZES, RATES)):
        raise BadInputError(
            "--vary must be given for the batch size and the learning rate, as in --vary data.batch_size=1,10,100 "
            f"--vary model.optimizer.lr=.01,.1. Got {', '.join(keys) or 'none'}."
        )
    return {key: vary[key] for key in keys}


def _is(key: str, names: Sequence[str]) -> bool:
    return key.rpartition(".")[2] in names


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
