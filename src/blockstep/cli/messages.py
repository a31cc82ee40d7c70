"""Errors in words: without it, a setting that torch or Lightning refuses late would end in a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.exceptions import MisconfigurationException

from blockstep.base.errors import TRACEBACK, BadInputError, OutputError, RunError
from blockstep.runs.run_folder import RunFolder


@contextmanager
def translate_errors(folder: RunFolder | None = None) -> Iterator[None]:
    """Turn any exception into one that becomes a message and an exit status.

    Before anything was saved, an exception counts as bad input: a setting that Lightning or torch refuses late.

    Args:
        folder: The run's, if there is one.

    Raises:
        BadInputError: For an exception before anything was saved.
        RunError: For one after that, and for errors of the operating system.
        OutputError: If standard output cannot be written.
    """
    try:
        yield
    except (RunError, OutputError):
        raise
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        raise _translated(error, folder) from error


def _translated(error: Exception, folder: RunFolder | None) -> Exception:
    words = str(error) if isinstance(error, BadInputError) else describe(error)
    kept = " What was saved is kept." if folder is not None and folder.has_checkpoints else ""
    if isinstance(error, OSError):
        where = f" in {folder.path}" if folder else ""
        return RunError(f"a file{where} cannot be written or read: {error}.{kept}")
    refused = isinstance(error, BadInputError) and folder is not None and not folder.has_saved
    if folder is not None and kept and not refused:
        return RunError(f"the run in {folder.path} cannot go on: {words}{kept}")
    return BadInputError(words)


def describe(error: Exception) -> str:
    """Return an exception's message, with its type unless the message is written for users."""
    if isinstance(error, (ValueError, MisconfigurationException)):
        return str(error)
    return f"{type(error).__name__}: {error} ({TRACEBACK}=1 shows where it comes from.)"
