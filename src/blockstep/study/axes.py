"""The values of the varied keys: without this module, each training's settings would have to be parsed by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonargparse import Namespace

from blockstep.base.errors import BadInputError
from blockstep.cli.messages import translate_errors
from blockstep.cli.quiet import quiet
from blockstep.study.training import Trainings

GROUPS = ("model.", "data.", "trainer.")
"""The beginnings of the keys that can be varied."""

MISSING = object()


@dataclass(frozen=True)
class Point:
    """A value of a varied key.

    Attributes:
        value: The value; the name of a class for one that is a class.
        word: The argument that gives it.
        changes: What it changes in the settings that all trainings have in common, by key; `MISSING` for what it
            removes.
    """

    value: Any
    word: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """A varied key and its values."""

    key: str
    points: Sequence[Point]


def read_axes(own: Trainings, vary: Mapping[str, Sequence[str]]) -> list[Axis]:
    """Read the values of the varied keys, and build model and data with each, as far as they say what they refuse.

    Args:
        own: The trainings.
        vary: Texts of the values, by key; of the first two, numbers.

    Raises:
        BadInputError: If a key does not exist, or a value is not one of its values, or is given twice.
    """
    axes = [Axis(key, [_read(own, key, text) for text in texts]) for key, texts in vary.items()]
    for place, axis in enumerate(axes):
        _check_once(axis)
        _check_numbers(axis, place)
    return axes


def named(key: str, flat: str) -> bool:
    """Whether a key of the settings is the one that the command line names, or a part of it."""
    plain = flat.replace(".init_args", "").removesuffix(".class_path")
    return plain == key or plain.startswith(f"{key}.")


def combine(own: Trainings, points: Sequence[Point]) -> Namespace:
    """Return all settings of the trainings with a value of each varied key.

    Args:
        own: The trainings.
        points: The values. If two of them change the same setting, all are parsed together, as `fit` would; otherwise
            their changes are made one after another, which is the same, and takes no time.
    """
    changed = [key for point in points for key in point.changes]
    if len(set(changed)) < len(changed) or any(MISSING in point.changes.values() for point in points):
        return own.parse([point.word for point in points])
    config: Namespace = own.config.clone(with_meta=False)
    for point in points:
        for key, value in point.changes.items():
            config[key] = value
    return config


def _read(own: Trainings, key: str, text: str) -> Point:
    if not key.startswith(GROUPS):
        raise BadInputError(f"--vary must name a key of model, data or trainer, as in data.batch_size. Got {key!r}.")
    word = f"--{key}={text}"
    config = own.parse([word])
    with quiet(), translate_errors():
        own.parser.instantiate_classes(config)
    now, before = vars(config.as_flat()), vars(own.config.as_flat())
    changes = {name: now.get(name, MISSING) for name in {**before, **now} if now.get(name, MISSING) != before.get(name)}
    return Point(_value(config, key, now), word, {name: value for name, value in changes.items() if name != "config"})


def _value(config: Namespace, key: str, flat: Mapping[str, Any]) -> Any:
    found = config.get(key)
    if isinstance(found, Namespace) and "class_path" in found:
        return str(found.class_path).rpartition(".")[2]
    return next((value for name, value in flat.items() if name.replace(".init_args", "") == key), found)


def _check_once(axis: Axis) -> None:
    values = [point.value for point in axis.points]
    for value in values:
        if values.count(value) > 1:
            raise BadInputError(f"--vary {axis.key} must have each value once. Got {value!r} more often.")


def _check_numbers(axis: Axis, place: int) -> None:
    """Check the values of an axis of the figures: the first is the batch size, the second the learning rate."""
    for value in (point.value for point in axis.points if place <= 1):
        is_all_events = value is None and place == 0
        if not is_all_events and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            raise BadInputError(
                f"--vary {axis.key} must have numbers above 0, since it is an axis of the figures. Got {value!r}."
            )
