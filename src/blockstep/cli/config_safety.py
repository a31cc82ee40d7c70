"""Config files are data: without this module, one could call functions, or fill the memory with a few lines."""

from collections.abc import Callable, Iterator
from pydoc import locate
from typing import Any

import yaml  # type: ignore[import-untyped] # it brings no annotations
from jsonargparse import Namespace, get_loader, set_dumper, set_loader, set_parsing_settings

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES, is_word, load_factory
from blockstep.cli.classes import flatten, refuse_pipes
from blockstep.cli.yaml_text import check_text, dump, read_numbers_as_written

MOST_VALUES = 2000
"""The most values in a config: twenty times what a run's has."""


def restrict_parsing() -> None:
    """Restrict jsonargparse, for the whole process: build no class where any value is allowed, and bound what is read.

    An empty deny list adds nothing to jsonargparse's own, by which functions that run code cannot be named. Lightning
    has configs read from addresses (http://…, s3://…) as it is imported, which is switched off again.
    """
    set_parsing_settings(
        instantiate_subclass_spec_in_any=False,
        import_path_denylist=[],
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
    )
    loader = get_loader("yaml")
    if not isinstance(loader, _BoundedLoader):
        read_numbers_as_written()
        set_dumper("yaml", dump)
        set_loader("yaml", _BoundedLoader(loader), exceptions=(yaml.YAMLError,))


def check_classes(config: Namespace) -> None:
    """Raise BadInputError unless each class path names a class, that of an optimizer or scheduler one of its kind.

    jsonargparse accepts a function in place of a class if the argument's type is a callable, and would call it.
    """
    for key in CLASSES:
        value = config.get(f"model.{key}")
        plain = value is None or is_word(value) or isinstance(value, type)  # a class is a default, written in Python
        plain |= isinstance(value, dict) and "class_path" not in value
        if not plain:
            _check_factory(key, value)
    for key, path in _class_paths(config, ""):
        if not isinstance(locate(str(path)), type):
            raise BadInputError(f"{key}.class_path must name a class. Got {path!r} instead.")


def _check_factory(key: str, config: Any) -> None:
    given = config.as_dict() if isinstance(config, Namespace) else {}
    arguments = {**given.get("init_args", {}), **given.get("dict_kwargs", {})}
    try:
        load_factory(key, {"class_path": given.get("class_path", config), "init_args": arguments})
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
    """Read YAML, and refuse it if it is deep, large after its aliases have been written out, or names a named pipe."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self._load = load

    def __call__(self, text: str) -> Any:
        check_text(text)
        value = self._load(text)
        if _size(value, {}) > MOST_VALUES:
            raise BadInputError(
                f"a config must have at most {MOST_VALUES} values, its aliases written out. Got one with more."
            )
        if isinstance(value, dict | list):  # the arguments themselves were looked at before
            refuse_pipes(value)
        return flatten(value)


def _size(value: Any, known: dict[int, float]) -> float:
    """The number of values within a value; infinite for one that contains itself."""
    if not isinstance(value, list | dict):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")  # while it is being counted
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(value)]
