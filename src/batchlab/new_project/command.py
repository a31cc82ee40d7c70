"""batchlab new: make a project of one's own, or lay newer machinery over one."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from batchlab.new_project.creation import create
from batchlab.new_project.sources import EXAMPLES
from batchlab.new_project.update import update
from blockstep.base.errors import BadInputError
from blockstep.cli.application import Application


def new(_application: Application, _command: str, args: Sequence[str]) -> None:
    """Make a project, or update one.

    Args:
        args: The command's arguments.

    Raises:
        BadInputError: If the arguments cannot be used.
        RunError: If the project is made, but not its first commit.
    """
    words = _parser().parse_args(args)
    if not words.update:
        name = words.path.resolve().name if words.name is None else words.name
        create(words.path, name, words.example or next(iter(EXAMPLES)))
    elif words.name or words.example:
        raise BadInputError(
            "--update must be given PATH alone: the project keeps its name and what it has made its own."
        )
    else:
        update(words.path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchlab new",
        allow_abbrev=False,
        description="Makes a project of your own: a package, its command, configs, tests, CI and pages under its own "
        "name, with a small model and data to replace, and the machinery as it is.",
    )
    about = "; ".join(f"{name}: {example.about}" for name, example in EXAMPLES.items())
    parser.add_argument("path", type=Path, metavar="PATH", help="the project's folder: a new or an empty one")
    parser.add_argument("--name", help="name of the package and of its command (default: the folder's name)")
    parser.add_argument("--example", choices=EXAMPLES, help=f"what it starts with (default: the first). {about}")
    parser.add_argument("--update", action="store_true", help="lay this version's machinery over the project in PATH")
    return parser
