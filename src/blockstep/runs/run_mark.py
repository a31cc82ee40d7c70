"""The mark of a run's folder: without it, any folder with a config.yaml would be taken for a run and overwritten."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError

MARK = "blockstep_run.txt"
"""File in the folder of each run, and in no other."""

TEXT = "A run of blockstep, started or resumed at {}. Without this file, the folder is not taken for a run.\n"

FINISHED = "Finished at {}.\n"
"""A second line, once the run has ended by itself."""

TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00)"

PATTERN = re.compile(f"{TEXT}(?:{FINISHED})?".replace(".", r"\.").replace("{}", TIME))


def mark(folder: Path) -> None:
    """Mark a folder as that of a run that starts or goes on now."""
    write_atomically(folder / MARK, TEXT.format(_now()).encode())


def mark_finished(folder: Path) -> None:
    """Write into the mark of a run that it has ended now, by itself."""
    started = marked_at(folder)
    if started is not None:
        write_atomically(folder / MARK, (TEXT.format(started) + FINISHED.format(_now())).encode())


def marked_at(folder: Path) -> str | None:
    """Return when the run of a folder was started or resumed last; None for any folder but a run's."""
    found = _read(folder)
    return found[1] if found else None


def finished_at(folder: Path) -> str | None:
    """Return when the run of a folder has ended by itself, to the minute; None for one that has not."""
    found = _read(folder)
    return f"{datetime.fromisoformat(found[2]):%Y-%m-%d %H:%M} UTC" if found and found[2] else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _read(folder: Path) -> re.Match[str] | None:
    path = folder / MARK
    try:
        is_small_file = path.is_file() and path.stat().st_size <= len(TEXT) * 3
        found = PATTERN.fullmatch(path.read_text(encoding="utf-8")) if is_small_file else None
        for time in found.groups() if found else ():
            datetime.fromisoformat(time or _now())
    except (OSError, ValueError):  # it may not be read, or is not text, or has a 13th month
        return None
    return found


def newest_last(runs: Path) -> Path:
    """Return the last.ckpt of the run that was started or resumed last.

    The time is that in the mark, which copying does not change. Of a run and its copies, it is the one whose folder
    comes last by name and version.

    Args:
        runs: The folder of all runs.

    Raises:
        BadInputError: If no run has one.
    """
    found = [path for path in runs.glob("*/version_*/checkpoints/last.ckpt") if marked_at(path.parent.parent)]
    if not found:
        raise BadInputError(f"ckpt_path=last needs a run with a checkpoint. Got none in {str(runs)!r}.")
    return max(found, key=lambda path: age_order(path.parent.parent))


def age_order(run: Path) -> tuple[str, str, int, str]:
    """Return what sorts the folders of runs by the time of their last start."""
    return marked_at(run) or "", run.parent.name, len(run.name), run.name


def run_above(path: Path) -> Path | None:
    """Return the folder of the run that a path lies in, at any depth; None if it lies in none."""
    return next((folder for folder in path.absolute().parents if marked_at(folder)), None)


def config_beside(checkpoint: Path) -> Path | None:
    """Return the config.yaml of the run whose checkpoint this is; None if it lies elsewhere."""
    folder = checkpoint.absolute().parent
    config = folder.parent / "config.yaml"
    return config if folder.name == "checkpoints" and marked_at(folder.parent) and config.is_file() else None


def run_of_last(checkpoint: Path) -> Path | None:
    """Return the run whose last.ckpt this is, as a relative path if possible; None for any other file."""
    config = config_beside(checkpoint)
    if config is None or checkpoint.name != "last.ckpt":
        return None
    folder = config.parent
    here = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return Path(plain_path(str(here))) if len(here.parts) > len(("name", "version")) else folder


def plain_path(path: str) -> str:
    """Return a path that every parser on its way reads as a path: none begins with "~", "#" or "-".

    A home folder's "~" is replaced here, once; Lightning replaces it in some of its paths, and not in others.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 - that of pathlib raises an error for a user who does not exist
    return str(Path(expanded).absolute()) if str(Path(expanded))[0] in "~#-" else expanded
