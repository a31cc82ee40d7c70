"""The names that a project can have."""

import re
import sys
from importlib.metadata import packages_distributions
from keyword import iskeyword

from batchlab.new_project.sources import MACHINERY, find_files, read_file
from blockstep.base.errors import BadInputError

NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_]{0,58}[A-Za-z0-9])?")
"""What is both an identifier of Python and a name of PyPI (packaging.python.org, "Names and normalization")."""

PIN = re.compile(r"^([\w.-]+)==", re.MULTILINE)


def check_name(name: str) -> None:
    """Raise BadInputError for a name that Python or PyPI would refuse, or that would hide another module."""
    if not NAME.fullmatch(name):
        _refuse(
            name, "at most 60 letters (a to z), digits and underscores, first a letter, and no underscore at the end"
        )
    if iskeyword(name):
        _refuse(name, "not a keyword of Python")
    if name.lower() in {module.lower() for module in sys.stdlib_module_names}:
        _refuse(name, "not a module of Python's standard library")
    if name.lower() in _used_names():
        _refuse(name, "not a module that is installed or used here already")


def _used_names() -> set[str]:
    """Return the names of modules that are installed, that a project installs, and that its tests have."""
    installed = {module.lower() for module in packages_distributions()}
    pinned = {name.lower().replace("-", "_") for name in PIN.findall(read_file("constraints.txt"))}
    helpers = {path.rpartition("/")[2].removesuffix(".py") for path in find_files(*MACHINERY)}
    return installed | pinned | helpers | {"batchlab", "blockstep", "example", "pil", "tests", "yaml"}


def _refuse(name: str, rule: str) -> None:
    raise BadInputError(f"--name must be one that Python can import and PyPI takes: {rule}. Got {name!r} instead.")
