"""Make a project: in a temporary folder beside its place, so that it is there as a whole or not at all."""

import tempfile
from pathlib import Path

from batchlab.new_project.contents import machinery_files, project_files
from batchlab.new_project.first_commit import commit_all
from batchlab.new_project.manifest import MANIFEST, manifest_of
from batchlab.new_project.names import check_name
from batchlab.new_project.sources import version
from blockstep.base.errors import BadInputError, RunError


def create(path: Path, name: str, example: str) -> None:
    """Make a project, with its first commit where git is there.

    Args:
        path: Its folder, which is made, or is empty.
        name: Its name.
        example: The key of the model and data that it starts with.

    Raises:
        BadInputError: If the name or the folder cannot be used. Nothing is left then.
        RunError: If git could not commit. The project is complete otherwise.
    """
    path = path.resolve()
    check_name(name)
    _check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".batchlab_new_") as scratch:
        folder = Path(scratch, "project")
        _write(folder, project_files(name, example) | {MANIFEST: manifest_of(machinery_files(name), version())})
        trouble = _commit(folder, name)
        if path.exists():
            path.rmdir()  # it is empty
        folder.rename(path)
    print(f"project: {path}, whose README.md says how to go on")
    if trouble is not None:
        raise trouble


def _check_place(path: Path) -> None:
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise BadInputError(f"PATH must be a new or an empty folder: nothing else is written into. Got {path} instead.")
    parent = next(parent for parent in path.parents if parent.exists())
    if not parent.is_dir():
        raise BadInputError(f"PATH must lie in a folder. Got {path} instead, and {parent} is a file.")


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
        if text.startswith("#!"):
            path.chmod(0o755)


def _commit(folder: Path, name: str) -> RunError | None:
    try:
        commit_all(folder, name)
    except RunError as error:
        return error
    return None
