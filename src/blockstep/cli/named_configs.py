"""Configs by their names: without this module, an application's own could only be used from its repository's folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from blockstep.base.errors import BadInputError
from blockstep.base.suggestions import did_you_mean
from blockstep.cli.classes import is_file, pairs

NAME = re.compile(r"[A-Za-z][\w-]{0,99}")
"""What can be the name of a config: no path, and no text in YAML."""

PATH = re.compile(r"[\w./~ -]{1,999}\.ya?ml")
"""What is meant as the path of a config."""


def find_configs(folders: Sequence[Path], args: list[str]) -> list[str]:
    """Replace names of configs by their paths, as in `--config NAME`. A file of that name goes before.

    Args:
        folders: The application's folders of configs; the first that exists is used.
        args: A command's arguments.

    Raises:
        BadInputError: If there is no such config.
    """
    known = config_names(folders)
    if not known:
        return args
    return [found for key, value, words in pairs(args) for found in _found(key, value, words, known)]


def config_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Return an application's configs by name."""
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _found(key: str, value: str, words: list[str], known: dict[str, Path]) -> list[str]:
    if key != "config" or is_file(value):
        return words
    if PATH.fullmatch(value) and (meant := did_you_mean(Path(value).stem, known)):
        raise BadInputError(f"config must be a file that exists. Got {value!r} instead.{meant}")
    if not NAME.fullmatch(value):
        return words
    if value not in known:
        raise BadInputError(
            f"config must be a file, or one of {', '.join(known)}. Got {value!r} instead.{did_you_mean(value, known)}"
        )
    return [f"--config={known[value]}"]
