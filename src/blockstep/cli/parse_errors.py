"""The parser's errors in words: without it, a typo would be answered by Python types, and a missing argument by a page.

jsonargparse has one class of error; what is wrong is in its text, of which the parts that matter are found here.
"""

import inspect
import re
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from blockstep.base.factories import CLASSES
from blockstep.base.suggestions import did_you_mean

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "dict": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
"""Types in words."""

WORD = re.compile(r"[A-Za-z][\w./-]*")
"""An argument that is no option, such as a config's name."""

BOUNDS = {"v>=": "at least ", "v<=": "at most ", "v>": "more than ", "v<": "less than "}
"""Restrictions in words."""


MOST_LISTED = 20
"""The most classes that a message lists."""


def explain(parser: LightningArgumentParser, message: str) -> str:
    """Return an error of a parser in words.

    Args:
        parser: The command's.
        message: What it says.
    """
    unknown = _unknown_option(parser, message) or _unknown_key(parser, message)
    return unknown or next((words for rule in RULES if (words := rule(message))), message)


def options(parser: LightningArgumentParser) -> list[str]:
    """Return the options of a parser, with the arguments of default classes, as --model.optimizer.lr is one."""
    keys = vars(parser.get_defaults().as_flat())
    for key, value in list(keys.items()):
        given = value.get("init_args", {}) if isinstance(value, dict) else {}
        keys |= {f"{key}.{name}": None for name in given}
    return [f"--{key.replace('.init_args', '').removesuffix('.class_path')}" for key in keys]


def _unknown_option(parser: LightningArgumentParser, message: str) -> str | None:
    found = re.fullmatch(r"(?s)unrecognized arguments: (.*)", message)
    if not found:
        return None
    if WORD.fullmatch(first := found[1].partition(" ")[0]):
        return f"{message}. Each is written --KEY VALUE, as in --config {first}."
    unknown = [word.partition("=")[0] for word in found[1].split() if word.startswith("--")]
    known = options(parser)
    return f"{message}." + "".join(dict.fromkeys(did_you_mean(word, known) for word in unknown[:3]))


def _unknown_key(parser: LightningArgumentParser, message: str) -> str | None:
    """A key of a config."""
    in_group = re.fullmatch(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message)
    at_top = re.fullmatch(r"Option '([\w.]+)' is not accepted", message)
    if not (in_group or at_top):
        return None
    key = f"{in_group[1]}.{in_group[2]}" if in_group else str(at_top and at_top[1])
    known = [option.removeprefix("--") for option in options(parser)]
    return f"a config must have keys that exist. Got {key!r} instead.{did_you_mean(key, known)}"


def _missing_argument(message: str) -> str | None:
    found = re.search(r"the following arguments are required: ([\w., ]+)", message)
    key, path = _key(message), _class_path(message)
    if not found:
        return None
    names = [f"{key}.{name}".removeprefix(".") for name in found[1].split(", ")]
    needed = " ".join(f"--{name}=VALUE" for name in names)
    who = f"{key}: {path.rpartition('.')[2]}" if path else "the command"
    return f"{who} needs {found[1]}: add {needed}"


def _unknown_argument(message: str) -> str | None:
    """An argument of a class that has been named."""
    found, path = re.search(r"Option '(\w+)' is not accepted", message), _class_path(message)
    if not (found and path):
        return None
    key, given_anyway = _key(message), ("params", "optimizer")
    known = [name for name in inspect.signature(resolve_name(path)).parameters if name not in given_anyway]
    return (
        f"{key} must have arguments that {path.rpartition('.')[2]} takes. Got {found[1]!r} instead."
        f"{did_you_mean(found[1], known)} It takes {', '.join(known)}."
    )


def _missing_file(message: str) -> str | None:
    found = re.search(r"(?:File does not exist|Path is not a file|File is not readable): (.*)", message)
    return f"{_key(message)} must be a file that exists and can be read. Got {found[1]} instead." if found else None


def _unknown_group(message: str) -> str | None:
    """A word in place of a class, or of a group's keys."""
    found = re.search(r"(?s)Parser key \"(model|data)\":.*Unable to load config ['\"]([^'\"]*)['\"]", message)
    if not found:
        return None
    return (
        f"{found[1]} must be the import path of a class, as in --{found[1]} mine.{found[1].capitalize()}. Got "
        f"{found[2]!r} instead."
    )


def _misspelt_class(message: str) -> str | None:
    """A word where a class could stand, beside true, false and the like."""
    is_word = re.fullmatch(r"[A-Za-z_][\w.]*", _value(message))
    is_number = re.search(r"Expected (a )?<class '(float|int)'>", message)
    could_be_class = "Expected a dot import path string" in message and not is_number
    return _unknown_class(message) if is_word and could_be_class else None


def _out_of_range(message: str) -> str | None:
    found = re.search(r"Not of type \w+: (\S+) does not conform to restriction (.*)", message)
    no_number = re.search(r"Not of type \w+: invalid literal for int\(\) with base 10: (.*)", message)
    if no_number:
        return f"{_key(message)} must be a whole number. Got {no_number[1]} instead."
    if not found:
        return None
    bounds = found[2]
    for sign, words in BOUNDS.items():
        bounds = bounds.replace(sign, words)
    return f"{_key(message)} must be {bounds}. Got {found[1]} instead."


def _wrong_value(message: str) -> str | None:
    kinds = [KINDS[kind] for kind in re.findall(r"Expected (?:a )?<class '(\w+)'>", message) if kind in KINDS]
    choices = re.findall(r"Expected a typing\.Literal\[(.*?)\]", message)
    if not (kinds or choices):
        return None
    words = dict.fromkeys(word.strip("' ") for choice in choices for word in choice.split(","))
    kinds += [f"one of {', '.join(words)}"] if words else []
    kinds += ["null"] if re.search(r"Expected (a )?<class 'NoneType'>", message) else []
    return f"{_key(message)} must be {' or '.join(dict.fromkeys(kinds))}. Got {_value(message)!r} instead."


def _unknown_class(message: str) -> str | None:
    found, key = re.search(r"Expected a dot import path string: (.*)", message), _key(message)
    missing = re.search(r"No module named '.*?'|module '.*?' has no attribute '.*?'", message)
    if missing:
        return f"{key} must be the name of a class, or its import path. Got {_value(message)!r} instead: {missing[0]}."
    if not found:
        return None
    known = sorted({name for base in _bases(key, message) for name in subclass_names(base)})
    question = did_you_mean(found[1], known) or (
        f" Known are {', '.join(known)}." if 0 < len(known) <= MOST_LISTED else ""
    )
    return f"{key} must be the name of a class, or its import path. Got {found[1]!r} instead.{question}"


RULES = (
    _unknown_group,
    _missing_argument,
    _unknown_argument,
    _missing_file,
    _misspelt_class,
    _out_of_range,
    _wrong_value,
    _unknown_class,
)
"""Each returns a message in words, or None if it is about something else."""


def _key(message: str) -> str:
    """The key that a message is about: of one within another, both."""
    return ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))


def _class_path(message: str) -> str | None:
    found = re.search(r"class_path[ =]'([\w.]+)'", message)
    return found[1] if found else None


def _value(message: str) -> str:
    given, got = re.search(r"Given value: (.*?)(\. Got value|$)", message), re.search(r"Got value: (.*)", message)
    found = given or got
    return found[1] if found else ""


def _bases(key: str, message: str) -> list[type]:
    """The classes whose subclasses a key takes."""
    named = CLASSES.get(key.removeprefix("model."))
    found: list[Any] = [resolve_name(path) for path in re.findall(r"<class '([\w.]+\.[A-Z]\w+)'>", message)]
    return [cls for cls in ([named] if named else found) if isinstance(cls, type)]


def subclass_names(base: type) -> list[str]:
    """Return the names of a class's imported subclasses that are public, in order."""
    return sorted({cls.__name__ for cls in _subclasses(base) if not cls.__name__.startswith("_")})


def _subclasses(base: type) -> Iterator[type]:
    children: list[type] = base.__subclasses__()
    for cls in children:
        yield cls
        yield from _subclasses(cls)
