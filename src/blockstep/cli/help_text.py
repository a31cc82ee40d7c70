"""Help: without it, the dozen keys that people set would lie within six hundred lines."""

import inspect
import re
import shutil
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pkgutil import resolve_name
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES
from blockstep.base.suggestions import did_you_mean

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

OF_FIT = ("name", "trainer.max_epochs", "trainer.max_time", "trainer.fast_dev_run", "epoch_report")
"""Keys and groups that other commands take, since configs of runs have them, but make no use of."""

OURS = {"trainer.default_root_dir": "Folder of all runs; each has its own in it, NAME/version_N."}
"""Help that is other than Lightning's."""

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


def help_text(parser: LightningArgumentParser, about: str, topic: str, unused: Sequence[str] = ()) -> str:
    """Return an overview of a command's keys, or all about some of them.

    Args:
        parser: The command's.
        about: What the command does.
        topic: "" for the overview, the name of a group or a key, or "all".
        unused: Keys and groups that the overview leaves out.

    Raises:
        BadInputError: If no key belongs to the topic.
    """
    for action in parser._actions:  # noqa: SLF001 - argparse has no public name for them
        if action.help:
            action.help = OURS.get(action.dest) or MARKUP.sub(lambda found: found[1] or found[2], action.help)
    return _overview(parser, about, unused) if not topic else _details(parser, topic)


def _overview(parser: LightningArgumentParser, about: str, unused: Sequence[str]) -> str:
    width = _width()
    sections = [f"usage: {parser.prog} [--KEY VALUE ...]\n\n{_filled(about, width)}"]
    for title, actions in _sections(parser, unused):
        others = len(_actions(parser, "trainer")) - len(actions)
        heading = f"{title} (Lightning's; {others} more: --help=trainer)" if title == "trainer" else title
        sections.append("\n".join([f"{heading}:", *(_line(action, width) for action in actions)]))
    more = (
        f"All about a group or a key: {parser.prog} --help=model, --help=data, --help=ckpt_path, --help=all. "
        f"All values as a config: {parser.prog} --print_config."
    )
    return "\n\n".join([*sections, _filled(more, width)])


def _width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, 120)


def _sections(parser: LightningArgumentParser, unused: Sequence[str]) -> Iterator[tuple[str, list[Action]]]:
    """The overview's keys by group: those without a group, of the model, of the data, of the trainer, of the report."""
    of_classes = _of_default_classes(parser)
    for group in ("", "model", "data", "trainer", "epoch_report"):
        actions = [action for action in _actions(parser, group) if not {action.dest, group} & set(unused)]
        if group == "trainer":
            actions = [action for name in COMMON for action in actions if action.dest == f"trainer.{name}"]
        listed = [part for action in actions for part in (action, *_given(action, of_classes.get(action.dest, [])))]
        if listed:
            yield group or "run", listed


def _of_default_classes(parser: LightningArgumentParser) -> dict[str, list[Action]]:
    """The arguments of the classes that are defaults, by the key that names the class: those of SGD, for example."""
    found = {}
    for key in (f"model.{name}" for name in CLASSES):
        default = _default(parser, key)
        if default.get("class_path"):
            own = ArgumentParser()
            cls = resolve_name(default["class_path"])
            own.add_class_arguments(cls, key, skip={"params", "optimizer"}, fail_untyped=False)
            own.set_defaults({f"{key}.{name}": value for name, value in dict(default["init_args"]).items()})
            found[key] = [action for action in _actions(own, "model") if action.dest.startswith(f"{key}.")]
    for action in (action for actions in found.values() for action in actions):
        action.help = re.sub(r" \(default: [^)]*\)", "", action.help or "")  # that of the class
    return found


def _default(parser: LightningArgumentParser, key: str) -> Any:
    known = {action.dest: action.default for action in _actions(parser, "model")}
    default = known.get(key)
    return default if isinstance(default, dict | Namespace) else {}


def _given(action: Action, of_class: list[Action]) -> list[Action]:
    """The arguments of a default class that the default gives."""
    init_args = dict(action.default["init_args"]) if of_class else {}
    return [part for part in of_class if part.dest.rpartition(".")[2] in init_args]


def _actions(parser: ArgumentParser, group: str) -> list[Action]:
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
    lines = textwrap.wrap(sentence.removesuffix("."), width - 34, max_lines=2, placeholder=" …")
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
    sections = [*_entries(parser.format_help()), *_entries_of_classes(parser)]
    groups = {key.partition(".")[0] for _, entries in sections for key, _ in entries if "." in key}
    known = {word for _, entries in sections for key, _ in entries for word in _topics(key, groups)}
    found = [
        "\n".join([title, *texts])
        for title, entries in sections
        if (texts := [text for key, text in entries if topic == "all" or topic in _topics(key, groups)])
    ]
    if not found:
        raise BadInputError(
            f"help must be asked for a group, such as model, data or trainer, for a key, or for all. Got {topic!r} "
            f"instead.{did_you_mean(topic, known)}"
        )
    return "\n\n".join(found)


def _entries_of_classes(parser: LightningArgumentParser) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for key, actions in _of_default_classes(parser).items():
        name = _default(parser, key)["class_path"].rpartition(".")[2]
        yield f"{key}, as {name}:", [(action.dest, _line(action, _width())) for action in actions]


def _entries(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The sections of argparse's help: the title of each, and its options, each with its key and its text."""
    for section in re.split(r"\n\n(?=\S.*:\n  -)", text)[1:]:
        title, *options = re.split(r"\n(?=  -)", section)
        yield title, [(re.findall(r"--([\w.]+)", option)[0], option) for option in options]


def _topics(key: str, groups: set[str]) -> set[str]:
    """The words that an option is found by: its key, the last part of its key, and its group."""
    key = key.removesuffix(".help")
    group, dot, _ = key.partition(".")
    return {key, key.rpartition(".")[2], group if dot or key in groups else "run"}


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width)
