"""Help: without it, the dozen keys that people set would lie within six hundred lines."""

import inspect
import re
import shutil
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from blockstep.base.errors import BadInputError
from blockstep.cli.suggestions import did_you_mean

COMMON = (
    "max_epochs",
    "max_time",
    "accelerator",
    "devices",
    "precision",
    "callbacks",
    "fast_dev_run",
    "default_root_dir",
)
"""The keys of the trainer that people set most."""

MARKUP = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`|``(.*?)``")
"""What reStructuredText has around the names in Lightning's help."""


def help_topic(args: list[str]) -> str | None:
    """Return what help is asked for: a group or a key, as in --help=trainer, "" for the overview, None for no help."""
    for word, following in pairwise([*args, "-"]):
        if word.startswith("--help="):
            return word.removeprefix("--help=")
        if word in ("-h", "--help"):
            return "" if following.startswith("-") else following
    return None


def describe_command(does: str, configs: Sequence[str]) -> str:
    """Return a paragraph about a command: what it does, the configs that can be named, and how classes are given."""
    files = f"FILE, or one of {', '.join(configs)}" if configs else "FILE"
    return (
        f"{does[0].upper()}{does[1:]}. Each key can be given here or in a config, a YAML file: --config {files}. "
        "--model and --data also take the import path of a class, as in --model mine.Net."
    )


def help_text(parser: LightningArgumentParser, about: str, topic: str) -> str:
    """Return an overview of a command's keys, or all about some of them.

    Args:
        parser: The command's.
        about: What the command does.
        topic: "" for the overview, the name of a group or a key, or "all".

    Raises:
        BadInputError: If no key belongs to the topic.
    """
    for action in parser._actions:  # noqa: SLF001 - argparse has no public name for them
        if action.help:
            action.help = MARKUP.sub(lambda found: found[1] or found[2], action.help)
    return _overview(parser, about) if not topic else _details(parser, topic)


def _overview(parser: LightningArgumentParser, about: str) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    sections = [f"usage: {parser.prog} [--KEY VALUE ...]\n\n{_filled(about, width)}"]
    others = len(_actions(parser, "trainer")) - len(COMMON)
    for title, actions in _sections(parser):
        heading = f"{title} (Lightning's; {others} more: --help=trainer)" if title == "trainer" else title
        sections.append("\n".join([f"{heading}:", *(_line(action, width) for action in actions)]))
    more = (
        f"All about a group or a key: {parser.prog} --help=model, --help=data, --help=max_epochs, --help=all. "
        f"All values as a config: {parser.prog} --print_config."
    )
    return "\n\n".join([*sections, _filled(more, width)])


def _sections(parser: LightningArgumentParser) -> Iterator[tuple[str, list[Action]]]:
    """The overview's keys by group: those without a group, of the model, of the data, of the trainer, of the report."""
    for group in ("", "model", "data", "trainer", "epoch_report"):
        actions = _actions(parser, group)
        if group == "trainer":
            actions = [action for name in COMMON for action in actions if action.dest == f"trainer.{name}"]
        yield group or "run", actions


def _actions(parser: LightningArgumentParser, group: str) -> list[Action]:
    """The options of a group, without those that ask for help; of "", those without a group."""
    options = parser._actions  # noqa: SLF001 - argparse has no public name for them
    wanted = [action for action in options if action.help != SUPPRESS and not action.dest.endswith("help")]
    groups = {action.dest.partition(".")[0] for action in wanted if "." in action.dest}
    return [action for action in wanted if action.dest not in groups and _group(action) == group]


def _group(action: Action) -> str:
    return action.dest.rpartition(".")[0].partition(".")[0]


def _line(action: Action, width: int) -> str:
    """A key with its default, and the first sentence about it."""
    default = "" if action.default in (None, SUPPRESS) else f" {_shown(action.default)}"
    key = f"  {next(option for option in action.option_strings if option.startswith('--'))}{default}"
    sentence = re.split(r"(?<=[^.A-Z])\.(?:\s|$)", action.help or "", maxsplit=1)[0]
    lines = textwrap.wrap(sentence.removesuffix("."), width - 34)
    first, *others = lines or [""]
    head = f"{key:32}  {first}" if len(key) <= 32 else f"{key}\n{'':34}{first}"  # noqa: PLR2004 - the first column
    return "\n".join([head, *(f"{'':34}{line}" for line in others)])


def _shown(value: Any) -> str:
    """A default as it is typed."""
    if isinstance(value, dict | Namespace) and value.get("class_path"):
        return str(value["class_path"]).rpartition(".")[2]
    if isinstance(value, bool):
        return str(value).lower()
    return value.__name__ if inspect.isclass(value) else str(value)


def _details(parser: LightningArgumentParser, topic: str) -> str:
    sections = list(_entries(parser.format_help()))
    found = [
        "\n".join([title, *(text for key, text in entries if topic == "all" or topic in _topics(key))])
        for title, entries in sections
        if topic == "all" or any(topic in _topics(key) for key, _ in entries)
    ]
    if not found:
        known = {word for _, entries in sections for key, _ in entries for word in _topics(key)}
        raise BadInputError(
            f"help must be asked for a group, such as model, data or trainer, for a key, or for all. Got {topic!r} "
            f"instead.{did_you_mean(topic, known)}"
        )
    return "\n\n".join(found)


def _entries(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The sections of argparse's help: the title of each, and its options, each with its key and its text."""
    for section in re.split(r"\n\n(?=\S.*:\n  -)", text)[1:]:
        title, *options = re.split(r"\n(?=  -)", section)
        yield title, [(re.findall(r"--([\w.]+)", option)[0], option) for option in options]


def _topics(key: str) -> set[str]:
    """The words that an option is found by: its key, the last part of its key, and its group."""
    key = key.removesuffix(".help")
    group, dot, _ = key.partition(".")
    return {key, key.rpartition(".")[2], group if dot else "run"}


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width)
