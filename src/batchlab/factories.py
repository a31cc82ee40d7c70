"""Optimizers and schedulers as arguments: checked when they are given, and named in checkpoints by plain values."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

Given = TypeVar("Given")
Made = TypeVar("Made")

INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
"""What `load_from_checkpoint` builds a module with when its hyperparameters name classes; Lightning's own."""


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
