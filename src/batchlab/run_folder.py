"""The folder of a run: runs/NAME/version_N, each made by one run alone."""

import os
import re
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from batchlab.errors import BadInputError

SHARED = "BATCHLAB_RUN_FOLDER"
"""Environment variable by which a run's first process tells those that it starts the folder."""

NAME = re.compile(r"[\w+-][\w+. -]{0,99}(?<![. ])")
"""One folder's name, which leaves no way out of the runs folder."""

LONGEST_NAME = 255
"""In bytes, as ext4, APFS and others count: a letter of another script than ours has up to four."""


def create_run_folder(runs: Path, name: str) -> Path:
    """Makes the next free version of a run and returns its path.

    Making a folder either succeeds for one process or fails, so runs that start at the same moment never share one.

    Args:
        runs: The folder of all runs.
        name: The run's name, a folder within it.

    Raises:
        BadInputError: If the name is not that of a single folder, or the folder cannot be made.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(
            "name must be a folder's name of at most 100 letters, digits, spaces and any of _ + - . "
            f"(not at its start or end). Got {name!r} instead."
        )
    if (size := len(os.fsencode(name))) > LONGEST_NAME:
        raise BadInputError(
            f"name must be a folder's name of at most {LONGEST_NAME} bytes, of which letters that are not English have "
            f"several. Got {name!r} instead, which has {size}."
        )
    try:
        (runs / name).mkdir(parents=True, exist_ok=True)
        for version in count(_next_version(runs / name)):
            folder = runs / name / f"version_{version}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise BadInputError(
            f"trainer.default_root_dir must be a folder that can be written to. Got {str(runs)!r} instead: {error}."
        ) from error
    raise AssertionError("unreachable: there is always a next version")


def shared_run_folder(runs: Path, name: str) -> Path:
    """The same folder in every process of a run: the first makes it, and those that Lightning starts are told.

    Processes that something else has started side by side (torchrun, SLURM) are not; nor need they be, since the first
    alone writes.
    """
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined] # Lightning keeps it there, for lack of a trainer
        folder = create_run_folder(runs, name)
        os.environ[SHARED] = str(folder)
        return folder
    return Path(os.environ.get(SHARED, runs / name / "of_the_first_process"))


def newest_last(runs: Path) -> Path:
    """The last checkpoint of the run that was trained last.

    Args:
        runs: The folder of all runs.

    Raises:
        BadInputError: If no run has one.
    """
    found = sorted(runs.glob("*/version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise BadInputError(f"ckpt_path=last needs a run with a checkpoint. Got none in {str(runs)!r}.")
    return found[-1]


def run_of_last(checkpoint: Path) -> Path | None:
    """The folder of the run whose last state a checkpoint is, from here if it is within; None if it is any other."""
    folder = checkpoint.absolute().parent.parent
    whole = checkpoint.name == "last.ckpt" and (folder / "config.yaml").is_file()
    if not whole:
        return None
    here = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return here if len(here.parts) > len(("name", "version")) else folder


def discard_run_folder(folder: Path) -> None:
    """Removes the folder of a run that did not start, and those above it that were made for it alone."""
    shutil.rmtree(folder, ignore_errors=True)  # another process of the run may be at it too
    with suppress(OSError):  # not empty: other runs are there
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


def _next_version(folder: Path) -> int:
    taken = [int(path.name.removeprefix("version_")) for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    return max(taken, default=-1) + 1
