"""Optimizers and schedulers as arguments: without it, checkpoints could not name them without code."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

Given = TypeVar("Given")
Made = TypeVar("Made")

CLASSES: dict[str, type] = {"optimizer": Optimizer, "lr_scheduler": LRScheduler}
"""The hyperparameters that name a class, and its base class. No other hyperparameter may name a class."""

WORD = re.compile(r"[\w-]*")
"""Text that cannot be a path or an import path."""


def is_word(value: Any) -> bool:
    """Whether a value is a text that names nothing: a model may have an `optimizer` that is just "adam"."""
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def class_config(factory: Callable[..., object], cls: type) -> dict[str, Any]:
    """Describe a factory by plain values, as a config file does, so that a checkpoint can hold it without code.

    Args:
        factory: A class, or a `functools.partial` of one.
        cls: The class of what the factory makes.

    Returns:
        {"class_path": ..., "init_args": {...}}.

    Raises:
        TypeError: If the factory is a function, whose arguments cannot be read.
    """
    if not isinstance(factory, type | partial):
        raise TypeError(
            f"An optimizer or lr_scheduler must be a class or a functools.partial of one, so that a checkpoint can "
            f"name it. Got {factory!r} instead."
        )
    return {"class_path": import_path(cls), "init_args": getattr(factory, "keywords", {})}


def import_path(cls: type) -> str:
    """Return the path by which a config names a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def restore_factories(hyperparameters: Any) -> dict[str, Any]:
    """Replace the class configs among a checkpoint's hyperparameters by factories.

    The checkpoint may come from a stranger: nothing is imported for it, and none of its code is run.

    Args:
        hyperparameters: As a checkpoint holds them. Keys that start with "_", by which Lightning would import a class,
            are dropped.

    Raises:
        ValueError: If a value names a class and is none of `CLASSES`, or `load_factory` refuses it.
    """
    if not (isinstance(hyperparameters, dict) and all(isinstance(key, str) for key in hyperparameters)):
        raise ValueError(f"* must be a mapping of keys. Got {hyperparameters!r} instead.")
    settings = {key: value for key, value in hyperparameters.items() if not key.startswith("_")}
    for key, value in settings.items():
        if key not in CLASSES and _names_a_class(value):
            raise ValueError(f"{key} must be a plain value, not the name of a class. Got {value!r} instead.")
    named = [key for key in CLASSES if settings.get(key) is not None and not is_word(settings[key])]
    return settings | {key: load_factory(key, settings[key]) for key in named}


def storable_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that a checkpoint may hold: another one could not be read.

    Args:
        hyperparameters: Those that a module has saved. A module that was not written for this package saves any object.
    """
    return {key: value for key, value in hyperparameters.items() if _may_be_kept(key, value)}


def load_factory(key: str, config: Any) -> Callable[..., Any]:
    """Return the factory that a class config describes, without importing or running anything.

    Args:
        key: One of `CLASSES`.
        config: {"class_path": ..., "init_args": {...}}.

    Raises:
        ValueError: Unless it names a class of an imported module, of the right kind, with plain values as arguments.
    """
    if not (isinstance(config, dict) and config.keys() == {"class_path", "init_args"}):
        raise ValueError(f"{key} must be a class_path with its init_args. Got {config!r} instead.")
    base = CLASSES[key]
    cls = _imported_subclass(base, config["class_path"])
    if cls is None:
        raise ValueError(
            f"{key} must name a subclass of {import_path(base)}, of a module that is imported "
            f"already. Got {config['class_path']!r} instead."
        )
    if not (isinstance(config["init_args"], dict) and all(map(_is_plain, config["init_args"].values()))):
        raise ValueError(f"{key} must have numbers and words as its init_args. Got {config['init_args']!r} instead.")
    return partial(cls, **config["init_args"])


def call_factory(key: str, factory: Callable[[Given], Made], given: Given) -> Made:
    """Call a factory. If its arguments are refused, the error names the key that they belong to."""
    try:
        return factory(given)
    except (ValueError, TypeError) as error:
        raise type(error)(f"model.{key}: {error}") from error


def make_optimizer(
    parameters: Iterable[Any], optimizer: OptimizerFactory, lr_scheduler: SchedulerFactory | None
) -> OptimizerLRScheduler:
    """Return what `configure_optimizers` returns: the optimizer and, if there is one, its scheduler.

    Args:
        parameters: The module's.
        optimizer: Makes the optimizer.
        lr_scheduler: Makes the scheduler, which is stepped once an epoch; `ReduceLROnPlateau` watches val/loss.
    """
    made = optimizer(parameters)
    if lr_scheduler is None:
        return made
    scheduler = lr_scheduler(made)
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"optimizer": made, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"}}
    return {"optimizer": made, "lr_scheduler": {"scheduler": scheduler}}


def _imported_subclass(base: type, path: Any) -> type | None:
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found if isinstance(found, type) and issubclass(found, base) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or is_word(value) or isinstance(value, int | float | Tensor)


def _may_be_kept(key: str, value: Any) -> bool:
    try:
        restore_factories({key: value})
    except ValueError:
        return False
    return _is_data(value)


def _is_data(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_data, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    return value is None or isinstance(value, str | int | float | Tensor)


def _names_a_class(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "class_path" in value or any(map(_names_a_class, value.values()))
    return isinstance(value, list | tuple | set) and any(map(_names_a_class, value))
