"""Whole files or none."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file of which a reader finds the old content or the new, never a part, whenever the writer is killed.

    Args:
        path: The file; its folder is made if there is none.
        content: All of it.

    Raises:
        OSError: If it cannot be written; the old file is left as it was.
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


def write_figure(path: Path, figure: Figure, dpi: float | Literal["figure"] = "figure") -> None:
    """Writes a figure as a PNG file, whole or not at all.

    Args:
        path: The file.
        figure: What it shows.
        dpi: Pixels per inch of the figure's size; the default is its own.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=dpi)
    write_whole(path, image.getvalue())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # which has no such thing
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
