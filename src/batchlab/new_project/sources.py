"""The files of this project that a new one is made of, wherever they are: in a clone, or in an installed wheel."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
PACKED = PACKAGE / "_project"
"""Where a wheel keeps the files that are not in a package (`force-include` in pyproject.toml)."""

CODE = (
    "src/blockstep",
    "tests/blockstep",
    "tests/compared.py",
    "tests/conftest.py",
    "tests/processes.py",
    "tests/systems.py",
    "tests/trained_weights.py",
)
PAGES = ("SECURITY.md", "docs")
MACHINERY = (*CODE, *PAGES)
"""What a project keeps as it is, so that a newer one can be laid over it; pages about it have the project's name."""

FRAME = (
    ".ci/run",
    ".editorconfig",
    ".github/dependabot.yml",
    ".github/floors.txt",
    ".github/workflows",
    ".github/zizmor.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "LICENSE",
    "constraints.txt",
    "pyproject.toml",
    "tests/test_project.py",
)
"""What every project starts with and then edits."""

TEMPLATE = (
    "src/batchlab/new_project/",
    "src/batchlab/_project/",
    "src/batchlab/configs/",
    "tests/batchlab/test_lesson_page.py",
    "docs/batch-size.md",
)
"""What makes new projects, which these need not do; a wheel's copy of the configs; and pages about the lesson and their
tests."""


@dataclass(frozen=True)
class Example:
    """A model and data to start from.

    Attributes:
        about: What it is.
        files: Files and folders of this project, with their places in the new one; NAME is its name.
    """

    about: str
    files: Mapping[str, str]


EXAMPLES = {
    "smallest": Example(
        "points of the plane and a network with one hidden layer",
        {
            "tests/blockstep/example": "src/NAME",
            "configs/minibatch.yaml": "configs/minibatch.yaml",
            "configs/online.yaml": "configs/online.yaml",
        },
    ),
    "table": Example(
        "a CSV file and a classifier of tables, without code of their own",
        {
            "tests/blockstep/example/__main__.py": "src/NAME/__main__.py",
            "tests/blockstep/example/py.typed": "src/NAME/py.typed",
            "examples/table": "src/NAME",
            "configs/minibatch.yaml": "configs/minibatch.yaml",
            "configs/online.yaml": "configs/online.yaml",
        },
    ),
    "lesson": Example(
        "what the batch size does to training, with pictures and comparisons",
        {
            "src/batchlab": "src/NAME",
            "tests/batchlab": "tests/NAME",
            "tests/test_names.py": "tests/test_names.py",
            "configs": "configs",
        },
    ),
}
"""By name, for `--example`; the first is the default."""


def find_files(*places: str) -> Iterator[str]:
    """Find all files in places of this project.

    Args:
        places: Files and folders, as a clone has them.

    Yields:
        The files, as a clone has them, without what running leaves behind.
    """
    for place in places:
        start = _where(place)
        paths = sorted(start.rglob("*")) if start.is_dir() else [start]
        for path in paths:
            inner = path.relative_to(start)
            file = f"{place}/{inner.as_posix()}" if inner.parts else place
            hidden = any(part == "__pycache__" or part.startswith(".") for part in inner.parts)
            if path.is_file() and not hidden and not file.startswith(TEMPLATE):
                yield file


def read_file(file: str) -> str:
    """Return the text of a file, which is named as a clone has it."""
    return _where(file).read_text("utf-8")


def version() -> str:
    """Return this project's version; of a clone that is not installed too."""
    settings: dict[str, str] = tomllib.loads(read_file("pyproject.toml"))["project"]
    return settings["version"]


def _where(place: str) -> Path:
    if not PACKED.exists():
        return PACKAGE.parents[1] / place
    if place.startswith("src/"):
        return PACKAGE.parent / place.removeprefix("src/")
    return PACKAGE / place if place.startswith("configs") else PACKED / place
