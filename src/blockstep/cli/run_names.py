"""Names of runs: without this module, runs with different settings would lie in one folder unless each was named."""

import inspect
import re
from argparse import ArgumentError
from collections.abc import Hashable, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from blockstep.cli.classes import pairs, read_config

Names = Mapping[str, Mapping[Any, str]]
"""An application's names of certain values, by key."""

PLAIN = "run"
"""The name of a run with the defaults, if the application has none for them."""

LONGEST = 80
"""Characters of a name that is made here. What differs beyond that is counted."""


def name_run(
    parser: LightningArgumentParser,
    config: Namespace,
    defaults: Namespace,
    args: list[str],
    names: Names,
    classes: list[str],
) -> str:
    """Return the name of a new run.

    Args:
        parser: The command's.
        config: The run's settings.
        defaults: The application's. A name among them is that of all runs.
        args: The command's arguments.
        names: The application's.
        classes: Names of the classes that are not the application's own.

    Returns:
        The name that `--name` gives; or that of a config, and what differs from it; or what differs from the defaults.
    """
    given, of_config = given_name(args), config.name
    if given is not None:
        return given
    if defaults.name is not None and of_config in (None, defaults.name):
        return str(defaults.name)
    if of_config is None:
        return make_name(config, defaults, names, classes)
    try:
        before = parser.parse_args([f"--config={_named_config(args)}"])
    except ArgumentError:  # a class needs arguments that it does not have
        before = config
    return make_name(config, before, names, [of_config])


def given_name(args: list[str]) -> str | None:
    """Return the name that `--name` gives, whether before or after a config that has one; None without it."""
    values = [value for key, value, _ in pairs(args) if key == "name"]
    return values[-1] if values and values[-1] != "null" else None


def make_name(settings: Namespace, before: Namespace, names: Names, first: list[str]) -> str:
    """Make a name of those settings of model and data that differ.

    Args:
        settings: The run's.
        before: What they are compared with.
        names: The application's.
        first: Parts that come first.

    Returns:
        The parts, with a hyphen between them. If nothing differs, the names of the default values.
    """
    now, old = dict(_arguments(settings)), dict(_arguments(before))
    changed = sorted((key for key in now if now[key] != old.get(key)), key=lambda key: key not in names)
    parts = first + [part for key in changed for part in _describe(key, now[key], old.get(key), names)]
    return _join(parts or [name for key in names if (name := _named(key, now.get(key), names))] or [PLAIN])


def _named_config(args: list[str]) -> str:
    """The last config that has a name."""
    return [value for key, value, _ in pairs(args) if key == "config" and _has_name(read_config(value))][-1]


def _plain_word(text: str) -> str:
    """Return a text as a part of a folder's name."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("_. ")


def _has_name(config: Any) -> bool:
    return isinstance(config, dict) and config.get("name") is not None


def _arguments(settings: Namespace) -> Iterator[tuple[str, Any]]:
    for group in ("model", "data"):
        given = settings.get(group)
        yield from ((f"{group}.{key}", value) for key, value in (vars(given) if given else {}).items())


def _named(key: str, value: Any, names: Names) -> str | None:
    return names.get(key, {}).get(value) if isinstance(value, Hashable) else None


def _describe(key: str, value: Any, old: Any, names: Names) -> Iterator[str]:
    """The parts of a name for an argument that differs; several for a class with arguments."""
    named, word = _named(key, value, names), key.rpartition(".")[2]
    if named is not None:
        yield named
    elif _class_path(value):
        yield from _describe_class(value, old)
    elif value is None or value is False:
        yield f"no_{word}"
    elif value is True:
        yield word
    elif isinstance(value, str) and value.isidentifier():
        yield value
    else:
        yield f"{word}_" + _plain_word(f"{value:g}" if isinstance(value, float) else str(value))


def _describe_class(value: Any, old: Any) -> Iterator[str]:
    cls = resolve_name(_class_path(value))
    before = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
    if _class_path(old) and resolve_name(_class_path(old)) is cls:
        before |= _init_args(old)
    else:
        yield cls.__name__.lower()
    for name, argument in _init_args(value).items():
        if name not in before or argument != before[name]:
            yield from _describe(name, argument, before.get(name), {})


def _class_path(value: Any) -> str:
    return str(value.get("class_path") or "") if isinstance(value, Namespace | dict) else ""


def _init_args(value: Any) -> dict[str, Any]:
    given = value.get("init_args") or {}
    return vars(given) if isinstance(given, Namespace) else given


def _join(parts: list[str]) -> str:
    for kept in range(len(parts), 0, -1):
        more = [f"{len(parts) - kept}_more"] if kept < len(parts) else []
        name = "-".join(parts[:kept] + more)
        if len(name) <= LONGEST:
            return name
    return parts[0][:LONGEST].rstrip(". ")
