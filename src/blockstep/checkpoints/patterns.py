"""Patterns of plain values: without them, what a file must hold would be a hundred lines of conditions.

A pattern follows its own few levels, and never those of the value, which a stranger may have made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from blockstep.base.errors import shortened


class Pattern(Protocol):
    """What a value must be."""

    def check(self, value: Any, key: str) -> None:
        """Raise ValueError, naming the key, unless the value is that."""


@dataclass(frozen=True)
class Rule:
    """A single value: what it must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]

    def check(self, value: Any, key: str) -> None:
        """Raise ValueError, naming the key, unless the rule holds."""
        if not self.holds(value):
            raise ValueError(f"{key} must be {self.words}. Got {describe(value)}")


ANYTHING = Rule("anything", lambda _: True)


@dataclass(frozen=True)
class ListOf:
    """A list or a tuple, with a pattern for each of its parts."""

    pattern: Pattern

    def check(self, value: Any, key: str) -> None:
        """Raise ValueError, naming the key of the first part that does not match."""
        LIST.check(value, key)
        for number, part in enumerate(value):
            self.pattern.check(part, f"{key}.{number}")


@dataclass(frozen=True)
class Keys:
    """A mapping of names.

    Args:
        required: The pattern of each key that must be there.
        optional: The pattern of each key that may be there.
        others: The pattern of all other keys; by default, anything. None allows no other key.
    """

    required: Mapping[str, Pattern] = field(default_factory=dict)
    optional: Mapping[str, Pattern] = field(default_factory=dict)
    others: Pattern | None = ANYTHING

    def check(self, value: Any, key: str) -> None:
        """Raise ValueError, naming the first key that is missing or has a value that does not match."""
        NAMES.check(value, key)
        for name in self.required:
            if name not in value:
                raise ValueError(f"{below(key, name)} must be there")
        patterns = {**self.required, **self.optional}
        for name, part in value.items():
            pattern = patterns.get(name, self.others)
            if pattern is None:
                raise ValueError(f"{key} must have the keys {', '.join(patterns)} alone. Got {name!r} too")
            pattern.check(part, below(key, name))


def below(key: str, name: Any) -> str:
    """Return the key of a part."""
    return f"{key}.{name}" if key else str(name)


def describe(value: Any) -> str:
    """Return a value in words that are short for a value of any size."""
    if isinstance(value, Tensor) and value.dim():
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    if isinstance(value, Tensor | str | int | float | None):
        return shortened(repr(value))
    return f"a {type(value).__name__}"


def is_number(value: Any) -> bool:
    """Whether a value is a real number, or a tensor of one."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.is_complex()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


COUNT = Rule("a whole number from 0 on", lambda value: type(value) is int and 0 <= value < 2**53)
COUNT_OR_NONE = Rule("a whole number from 0 on, or None", lambda value: value is None or COUNT.holds(value))
SWITCH = Rule("true or false", lambda value: isinstance(value, bool))
NUMBER = Rule("a number", is_number)
CHOICE = Rule("None, true, false or a number", lambda value: isinstance(value, bool | int | float | None))
TEXT = Rule("a text", lambda value: isinstance(value, str))
TEXT_OR_NONE = Rule("a text or None", lambda value: value is None or isinstance(value, str))
NUMBER_OR_NONE = Rule("a number or None", lambda value: value is None or is_number(value))
MAPPING = Rule("a mapping", lambda value: isinstance(value, dict))
NAMES = Rule("a mapping of names", _is_names)
LIST = Rule("a list", lambda value: isinstance(value, list | tuple))
