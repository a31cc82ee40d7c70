"""Files that are written as a whole or not at all: without this module, a kill could leave half a checkpoint behind."""

import os
import re
from contextlib import suppress
from pathlib import Path

UNFINISHED = re.compile(r"\..+\.(\d+|end)\.part")
"""The names of files that are not finished: of a process by its number, or of the end of a run."""


def remove_unfinished(folder: Path) -> None:
    """Delete the unfinished files of killed processes in a folder of ours, and in the folders within it."""
    for path in folder.rglob(".*.part"):
        if UNFINISHED.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds either its old content or all of its new, even if the writer is killed.

    Args:
        path: The file. Its folder is made if it does not exist.
        content: The new content.

    Raises:
        OSError: If the file cannot be written. The old file is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
