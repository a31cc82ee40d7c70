"""Lay this version's machinery over a project."""

import tomllib
from contextlib import suppress
from pathlib import Path

from batchlab.new_project.contents import OWN_LINES, machinery_files, project_files
from batchlab.new_project.manifest import MANIFEST, checksum, manifest_of, read_manifest
from batchlab.new_project.sources import EXAMPLES, version
from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError


def update(project: Path) -> None:
    """Replace the machinery of a project by this version's, and leave all else as it is.

    Args:
        project: The project's folder.

    Raises:
        BadInputError: If a file of the machinery was edited, or another file is in its place. Nothing is changed then.
    """
    before = read_manifest(project)
    name = _name(project)
    files = machinery_files(name)
    changed = _changed(project, before, files)
    gone = [path for path in before if path not in files]
    for path in changed:
        write_atomically(project / path, files[path].encode())
    for path in gone:
        _delete(project / path, project)
    write_atomically(project / MANIFEST, manifest_of(files, version()).encode())
    print(f"machinery of batchlab {version()}: {len(changed)} files written, {len(gone)} deleted")
    if missing := _missing(project, name):
        print(
            "pyproject.toml is the project's own. It lacks these lines, which the machinery may need:",
            *missing,
            sep="\n",
        )


def _changed(project: Path, before: dict[str, str], files: dict[str, str]) -> list[str]:
    """Return the files to write. Files that are new already do not count as edited: an update may have been killed."""
    after = {path: checksum(text.encode()) for path, text in files.items()}
    now = {path: _checksum_of(project / path) for path in {**before, **after}}
    if edited := sorted(path for path, found in now.items() if found not in (before.get(path), after.get(path))):
        raise BadInputError(
            f"the machinery must be as it was copied, so that no edit is lost. Edited, deleted or in its way: "
            f"{', '.join(edited)}. Undo that (git log shows it), update, and make it again where it is still needed."
        )
    return [path for path in files if now[path] != after[path]]


def _name(project: Path) -> str:
    path = project / "pyproject.toml"
    try:
        return str(tomllib.loads(path.read_text("utf-8"))["project"]["name"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInputError(f"{path} must have the project's name. Got {error!r}.") from error


def _checksum_of(path: Path) -> str | None:
    return checksum(path.read_bytes()) if path.is_file() else None


def _delete(path: Path, project: Path) -> None:
    path.unlink(missing_ok=True)
    for folder in path.relative_to(project).parents:
        with suppress(OSError):  # it holds something else
            (project / folder).rmdir()


def _missing(project: Path, name: str) -> list[str]:
    """Return the lines of this version's pyproject.toml that the project's lacks: requirements, rooms, settings."""
    theirs = (project / "pyproject.toml").read_text("utf-8").splitlines()
    ours = project_files(name, next(iter(EXAMPLES)))["pyproject.toml"].splitlines()
    return [line for line in ours if line not in theirs and not line.startswith(tuple(OWN_LINES))]
