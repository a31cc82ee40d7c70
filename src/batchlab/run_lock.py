"""RunLock: one process trains in a run's folder, and no other."""

from pathlib import Path

from filelock import FileLock, Timeout

from batchlab.errors import BadInputError

SECONDS_TO_WAIT = 10.0
"""Until a run that is being ended has ended: worker processes notice after five seconds that theirs is gone."""


class RunLock:
    """Holds a lock on a folder from its making until it is released. However the process ends, the lock ends with it.

    It also removes what a killed process has left behind.

    Args:
        folder: The run's.

    Raises:
        BadInputError: If another process trains in it.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=SECONDS_TO_WAIT)
        except Timeout as error:
            raise BadInputError(
                f"a run's folder must be trained in by one process. Got {str(folder)!r}, in which another one trains: "
                "wait for it, or give ckpt_path the last.ckpt of another run."
            ) from error
        for part in folder.rglob(".*.part"):  # of files that a killed process has not finished
            part.unlink(missing_ok=True)

    def release(self) -> None:
        """Lets others in; does nothing if it did so before."""
        self._lock.release()
