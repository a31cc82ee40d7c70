"""Config files are data: they name classes of the right kind, never functions, and stay small."""

import pydoc
from collections.abc import Callable, Iterator
from typing import Any

import yaml  # type: ignore[import-untyped] # jsonargparse's own dependency
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings

from batchlab.errors import BadInputError
from batchlab.factories import CLASSES, factory

MOST_VALUES = 2000
"""In one config: twenty times what a run's has, and as many as are parsed in a second or two."""


def restrict_parsing() -> None:
    """Tells jsonargparse, for the whole process, to build no class where any value will do, and to bound what it reads.

    Of functions that a callback may be given by name, those are refused that jsonargparse knows to run code.
    """
    set_parsing_settings(instantiate_subclass_spec_in_any=False, import_path_denylist=[])
    loader = get_loader("yaml")
    if not isinstance(loader, _BoundedLoader):
        set_loader("yaml", _BoundedLoader(loader), exceptions=(yaml.YAMLError,))


def check_classes(config: Namespace) -> None:
    """Raises BadInputError unless each class path names a class, and each of the model's a subclass of the right one.

    jsonargparse takes a function for a class where its type is a callable, and would call it to see what it makes.
    """
    for key in CLASSES:
        if config.model[key] is not None:
            _check_factory(key, config.model[key])
    for key, path in _class_paths(config, ""):
        if not isinstance(pydoc.locate(str(path)), type):
            raise BadInputError(f"{key}.class_path must name a class. Got {path!r} instead.")


def _check_factory(key: str, config: Any) -> None:
    """A checkpoint will name it, so it has to be what a checkpoint may name; only that its module was imported here."""
    given = config.as_dict() if isinstance(config, Namespace) else {}
    arguments = {**given.get("init_args", {}), **given.get("dict_kwargs", {})}
    try:
        factory(key, {"class_path": given.get("class_path", config), "init_args": arguments})
    except ValueError as error:
        raise BadInputError(f"model.{error}") from error


def _class_paths(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    parts = vars(value) if isinstance(value, Namespace) else value
    if isinstance(parts, list | tuple):
        parts = dict(enumerate(parts))
    if isinstance(parts, dict):
        if "class_path" in parts:
            yield key, parts["class_path"]
        for name, part in parts.items():
            yield from _class_paths(part, f"{key}.{name}".removeprefix("."))


class _BoundedLoader:
    """Reads YAML, unless its aliases, which stand for what they name each time they are used, make it large."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self._load = load

    def __call__(self, text: str) -> Any:
        value = self._load(text)
        if _size(value, {}) > MOST_VALUES:
            raise BadInputError(
                f"a config must have at most {MOST_VALUES} values, its aliases written out. Got one with more."
            )
        return value


def _size(value: Any, known: dict[int, float]) -> float:
    """The number of values within a value; infinite for one that holds itself."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")  # as long as it is being counted
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(value)]
