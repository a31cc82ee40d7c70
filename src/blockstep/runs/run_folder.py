"""The folder of a run, runs/NAME/version_N: without this module, runs would overwrite each other."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout
from lightning.pytorch.utilities import rank_zero_only

from blockstep.base.atomic_files import remove_unfinished, write_atomically
from blockstep.base.errors import BadInputError
from blockstep.runs.run_mark import MARK, mark, mark_finished, marked_at

EVENTS = "events.out.tfevents*"
"""TensorBoard's files. A run that goes on has new ones."""

SHARED = "BLOCKSTEP_RUN_FOLDER"
"""Environment variable by which a run's first process tells the others the folder."""

NAME = re.compile(r"[\w+-][\w+. -]{0,99}(?<![. ])")
"""The name of a single folder, which cannot lead out of the runs folder."""

LONGEST_NAME = 255
"""In bytes, the limit of most file systems. A letter has up to four bytes."""

SECONDS_TO_WAIT = 10.0
"""For the lock of a run that is being ended: its worker processes need up to five seconds to notice."""


class RunFolder:
    """The folder of a run, locked so that no other process trains in it. The lock ends with the process.

    Args:
        path: The folder, which exists.
        is_new: Whether it was made for this run.
        made: The folders above it that were made for it, from the deepest.

    Raises:
        BadInputError: If another process trains in it.
    """

    def __init__(self, path: Path, *, is_new: bool, made: Sequence[Path] = ()) -> None:
        self.path = path
        self.is_new = is_new
        self._made = made
        self._is_owner = _is_first_process()  # the others may have been told of a folder by an earlier program
        self._found = self._checkpoints()
        self._replaced: dict[Path, bytes] = {}  # what was in the files that `start` has written
        self._events: set[Path] = set()
        self._lock = FileLock(path / ".lock")
        if not self._is_owner:
            return
        try:
            self._lock.acquire(timeout=SECONDS_TO_WAIT)
        except Timeout as error:
            raise BadInputError(
                f"a run's folder must be trained in by one process. Got {str(path)!r}, in which another one trains: "
                "wait for it, or give ckpt_path the last.ckpt of another run."
            ) from error
        except (OSError, NotImplementedError) as error:
            self.discard()
            key = "trainer.default_root_dir must be" if is_new else "ckpt_path must be in a run's folder"
            raise BadInputError(
                f"{key} on a file system that can lock files. Got {str(path)!r}, where it cannot: {error}."
            ) from error
        if marked_at(path):
            remove_unfinished(path)

    @property
    def has_checkpoints(self) -> bool:
        """Whether anything was saved from which training can go on."""
        return any(self.path.glob("checkpoints/*"))

    @property
    def has_saved(self) -> bool:
        """Whether a checkpoint was saved since the run has started or gone on."""
        return self._checkpoints() != self._found

    def start(self, config: str) -> None:
        """Write the config that is trained with, and mark the folder as that of a run.

        Args:
            config: The run's config, as YAML.
        """
        if self._is_owner:
            written = (self.path / "config.yaml", self.path / MARK)
            self._events = set(self.path.glob(EVENTS))
            self._replaced = {path: path.read_bytes() for path in written if path.is_file()}
            write_atomically(written[0], config.encode())
            mark(self.path)

    def finish(self) -> None:
        """Write into the mark that the run has ended by itself."""
        if self._is_owner:
            mark_finished(self.path)

    def release(self) -> None:
        """Release the lock. Programs that are started later are not told of the folder."""
        self._lock.release()
        if self._is_owner and os.environ.get(SHARED) == str(self.path):
            del os.environ[SHARED]

    def discard(self) -> None:
        """Undo the start and release the lock: a new folder is removed, with those that were made for it and are empty.

        In a folder that goes on, config and mark are what they were. Only the process that made a folder removes it.
        """
        self._put_back()
        self.release()
        if self.is_new and self._is_owner:
            shutil.rmtree(self.path, ignore_errors=True)  # another process of the run may be removing it too
            with suppress(OSError):  # the folders hold other runs
                for folder in self._made:
                    folder.rmdir()

    def _put_back(self) -> None:
        for path, content in self._replaced.items():
            write_atomically(path, content)
        for path in set(self.path.glob(EVENTS)) - self._events if self._replaced else ():
            path.unlink()

    def _checkpoints(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.path.glob("checkpoints/*")}


def new_run_folder(runs: Path, name: str) -> RunFolder:
    """Make the folder of a run's next free version, and lock it. All processes of a run get the same.

    Args:
        runs: The folder of all runs.
        name: The run's name, a folder within it.

    Raises:
        BadInputError: As `create_run_folder`.
    """
    above = runs / name / "version"
    made = [folder for folder in above.parents if not os.path.lexists(folder)]
    return RunFolder(shared_run_folder(runs, name), is_new=True, made=made)


def create_run_folder(runs: Path, name: str) -> Path:
    """Make the folder of a run's next free version.

    `mkdir` succeeds in one process only, so runs that start at the same moment do not share a folder.

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
        return next(folder for folder in _versions(runs / name) if _make(folder))
    except OSError as error:
        raise BadInputError(
            f"trainer.default_root_dir must be a folder that can be written to. Got {str(runs)!r} instead: {error}."
        ) from error


def shared_run_folder(runs: Path, name: str) -> Path:
    """Return the same new folder in every process of a run: the first makes it and tells those that Lightning starts.

    Processes that torchrun or SLURM have started are not told. They need not be, since only the first writes.
    """
    if _is_first_process():
        folder = create_run_folder(runs, name)
        os.environ[SHARED] = str(folder)
        return folder
    return Path(os.environ.get(SHARED, runs / name / "of_the_first_process"))


def _versions(folder: Path) -> Iterator[Path]:
    taken = [int(path.name.removeprefix("version_")) for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    return (folder / f"version_{number}" for number in count(max(taken, default=-1) + 1))


def _make(folder: Path) -> bool:
    with suppress(FileExistsError):
        folder.mkdir()
        return True
    return False


def _is_first_process() -> bool:
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined] # Lightning keeps it there until there is a trainer
