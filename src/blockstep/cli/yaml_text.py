"""YAML text checked before it is built: without this module, brackets could end the process, and keys be lost."""

import re
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped] # it brings no annotations
from jsonargparse._loaders_dumpers import get_yaml_default_loader  # it has no public name; a test notices a change

from blockstep.base.errors import BadInputError

MOST_CHARACTERS = 1_000_000
"""The most characters of a config or an argument: a hundred times what a run's config has."""

MOST_LEVELS = 50
"""The most levels of lists and mappings within each other: five times what a run's config has."""

NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?$|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"
        r"|[-+]?\.[0-9][0-9_]*([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
}
"""How numbers are written. YAML has more ways, which surprise: 1:30, to the base of 60, is 90, and 017 is 15."""


def read_numbers_as_written() -> None:
    """Have jsonargparse read what `NUMBERS` does not match as text."""
    loader = get_yaml_default_loader()  # type: ignore[no-untyped-call] # it has no annotations
    resolvers = loader.yaml_implicit_resolvers
    for letter, rules in resolvers.items():
        resolvers[letter] = [(tag, NUMBERS.get(tag, pattern)) for tag, pattern in rules]


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # it has no annotations
    """Write texts that would be read as numbers in quotes: "1e3" is a text for YAML itself, and a number here."""


for _tag, _pattern in NUMBERS.items():
    _Dumper.add_implicit_resolver(_tag, _pattern, list("-+.0123456789"))


def dump(value: Any) -> str:
    """Return plain values as YAML that is read as these values."""
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text


def check_text(text: str) -> None:
    """Check YAML before it is built. To build it is recursive, in C, where too many levels end the process.

    Args:
        text: A config, or a single argument.

    Raises:
        BadInputError: If it is too long, has too many levels, or the same key twice in a mapping.
        yaml.YAMLError: If it is not YAML.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadInputError(
            f"a config or an argument must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,}."
        )
    _check_levels(text)


def _check_levels(text: str) -> None:
    levels: list[_Level] = []
    lines: dict[str, int] = {}  # of the keys, with those above them
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.NodeEvent) and levels:
            levels[-1].take(event, lines)
        if isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
        elif isinstance(event, yaml.CollectionStartEvent):
            above = levels[-1].place if levels else ""
            levels.append(_Level(isinstance(event, yaml.MappingStartEvent), above))
        if len(levels) > MOST_LEVELS:
            raise BadInputError(f"a config or an argument must have at most {MOST_LEVELS} levels. Got one with more.")


@dataclass
class _Level:
    """A list or a mapping while its parts are read, and the keys above it."""

    is_mapping: bool
    above: str
    place: str = ""  # of the part that is read, for those within it
    parts: int = 0

    def take(self, event: yaml.NodeEvent, lines: dict[str, int]) -> None:
        """Check a key, whose line is kept; count it, or a value."""
        if not self.is_mapping:
            self.place = f"{self.above}{self.parts}."
        elif self.parts % 2 == 0:
            self._check_key(event, lines)
        self.parts += 1

    def _check_key(self, event: yaml.NodeEvent, lines: dict[str, int]) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise BadInputError(f"a config must have its keys written out. Got an alias in line {line}.")
        if not isinstance(event, yaml.ScalarEvent):
            return
        if event.value == "<<" and event.implicit[0]:  # of copies of copies, it makes more than fits into the memory
            raise BadInputError(f"a config must have its keys written out. Got a merge (<<) in line {line}.")
        key = f"{self.above}{event.value}"
        if key in lines:
            lines_of_key = f"line {lines[key]} and in line {line}"
            raise BadInputError(f"a config must have each key once. Got {key!r} in {lines_of_key}.")
        lines[key] = line
        self.place = f"{key}."
