"""Optimizers and schedulers as arguments: checked when they are given, and named in checkpoints by plain values."""

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

Given = TypeVar("Given")
Made = TypeVar("Made")

CLASSES: dict[str, type] = {"optimizer": Optimizer, "lr_scheduler": LRScheduler}
"""The hyperparameters that name a class, and what it must be a subclass of. Others hold no class at all."""

WORD = re.compile(r"[\w-]*")
"""Text that names no file elsewhere, and nothing to import."""


def class_config(factory: Callable[..., object], built: object) -> dict[str, Any]:
    """Names a factory as a config file would: a class path and its arguments, all plain values.

    Args:
        factory: A class, or a `functools.partial` of one.
        built: What the factory makes.

    Returns:
        {"class_path": ..., "init_args": {...}}, which a checkpoint can hold without pickling code.

    Raises:
        TypeError: If the arguments are hidden inside a function.
    """
    if not isinstance(factory, type | partial):
        raise TypeError(
            f"An optimizer or lr_scheduler must be a class or a functools.partial of one, so that a checkpoint can "
            f"name it. Got {factory!r} instead."
        )
    cls = type(built)
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": getattr(factory, "keywords", {})}


def built(hyperparameters: Any) -> dict[str, Any]:
    """Hyperparameters with factories in place of the classes that `class_config` has named.

    They may come from a stranger: nothing is imported for them, and nothing of theirs is run.

    Args:
        hyperparameters: As a checkpoint holds them. Lightning's own notes on how to build the class, whose keys start
            with "_", are left out.

    Raises:
        ValueError: Unless they are plain values but for the keys of `CLASSES`, and these as `factory` asks for.
    """
    if not (isinstance(hyperparameters, dict) and all(isinstance(key, str) for key in hyperparameters)):
        raise ValueError(f"* must be a mapping of keys. Got {hyperparameters!r} instead.")
    settings = {key: value for key, value in hyperparameters.items() if not key.startswith("_")}
    for key, value in settings.items():
        if key not in CLASSES and _names_a_class(value):
            raise ValueError(f"{key} must be a plain value, not the name of a class. Got {value!r} instead.")
    return settings | {key: factory(key, settings[key]) for key in CLASSES if settings.get(key) is not None}


def factory(key: str, config: Any) -> Callable[..., Any]:
    """The factory that `class_config` has named. Nothing is imported for it, and nothing is run.

    Args:
        key: One of `CLASSES`.
        config: {"class_path": ..., "init_args": {...}}.

    Raises:
        ValueError: Unless it names a class that is imported already, and the right one, with plain values for it.
    """
    if not (isinstance(config, dict) and config.keys() == {"class_path", "init_args"}):
        raise ValueError(f"{key} must be a class_path with its init_args. Got {config!r} instead.")
    base = CLASSES[key]
    cls = _imported_subclass(base, config["class_path"])
    if cls is None:
        raise ValueError(
            f"{key} must name a subclass of {base.__module__}.{base.__qualname__}, of a module that is imported "
            f"already. Got {config['class_path']!r} instead."
        )
    if not (isinstance(config["init_args"], dict) and all(map(_is_plain, config["init_args"].values()))):
        raise ValueError(f"{key} must have numbers and words as its init_args. Got {config['init_args']!r} instead.")
    return partial(cls, **config["init_args"])


def named(key: str, factory: Callable[[Given], Made], given: Given) -> Made:
    """What the factory makes; if its arguments will not do, the error says whose they are."""
    try:
        return factory(given)
    except (ValueError, TypeError) as error:
        raise type(error)(f"model.{key}: {error}") from error


def check_learning_rate(optimizer: Optimizer) -> None:
    """Raises ValueError unless every learning rate is a positive, finite number: torch lets 0 and nan pass."""
    for group in optimizer.param_groups:
        lr = float(group["lr"])
        if not (math.isfinite(lr) and lr > 0):
            raise ValueError(f"lr must be a positive, finite number. Got {lr} instead.")


def _imported_subclass(base: type, path: Any) -> type | None:
    """The subclass that an import path names, if it does and its module is imported already."""
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found if isinstance(found, type) and issubclass(found, base) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return value is None or isinstance(value, int | float | Tensor)


def _names_a_class(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "class_path" in value or any(map(_names_a_class, value.values()))
    return isinstance(value, list | tuple | set) and any(map(_names_a_class, value))
