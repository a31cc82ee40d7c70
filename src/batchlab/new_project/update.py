"""Lay this version's machinery over a project."""

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchlab.new_project.contents import machinery_files, project_files
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
    settings = _settings(project)
    files = machinery_files(settings["name"])
    changed = _changed(project, before, files)
    gone = [path for path in before if path not in files]
    for path in changed:
        write_atomically(project / path, files[path].encode())
    for path in gone:
        _delete(project / path, project)
    write_atomically(project / MANIFEST, manifest_of(files, version()).encode())
    print(f"machinery of batchlab {version()}: {len(changed)} files written, {len(gone)} deleted")
    if missing := _missing(settings):
        print(f"requirements that pyproject.toml lacks: {', '.join(missing)}")


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


def _settings(project: Path) -> dict[str, Any]:
    path = project / "pyproject.toml"
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))["project"]
        return {"name": str(settings["name"]), "dependencies": list(settings["dependencies"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInputError(f"{path} must have the project's name and dependencies. Got {error!r}.") from error


def _checksum_of(path: Path) -> str | None:
    return checksum(path.read_bytes()) if path.is_file() else None


def _delete(path: Path, project: Path) -> None:
    path.unlink(missing_ok=True)
    for folder in path.relative_to(project).parents:
        with suppress(OSError):  # it holds something else
            (project / folder).rmdir()


def _missing(settings: dict[str, Any]) -> list[str]:
    """Return the requirements of this version that a project does not have: its pyproject.toml is its own."""
    text = project_files(settings["name"], next(iter(EXAMPLES)))["pyproject.toml"]
    needed: list[str] = tomllib.loads(text)["project"]["dependencies"]
    return [requirement for requirement in needed if requirement not in settings["dependencies"]]
