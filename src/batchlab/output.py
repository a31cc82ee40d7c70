"""What is printed reaches its reader, or it is said that it does not."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from batchlab.errors import OutputError


class Watched:
    """A stream that tells its own failures from those of files.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failure: OutputError | None = None

    def write(self, text: str) -> int:
        """Writes.

        Raises:
            OutputError: If that cannot be.
        """
        with self._watch():
            return self._stream.write(text)

    def flush(self) -> None:
        """Writes what is held back.

        Raises:
            OutputError: If that cannot be.
        """
        with self._watch():
            self._stream.flush()

    def check(self) -> None:
        """Raises OutputError if anything was lost, whoever has kept silent about it."""
        self.flush()
        if self._failure is not None:
            raise self._failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _watch(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = OutputError(error.errno, error.strerror)
            raise self._failure from error


@contextmanager
def watched() -> Iterator[None]:
    """Watches standard output within; what a terminal has no characters for is printed as codes.

    Raises:
        OutputError: At the end, if anything was lost.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    before = sys.stdout
    watch: Any = Watched(before)
    sys.stdout = watch
    try:
        try:
            yield
        finally:
            watch.check()
    except OutputError:
        _forget(before)
        raise
    finally:
        sys.stdout = before


def status_without(error: OutputError) -> int:
    """The exit status of a command whose output is lost; a reader that has seen enough, as `head` has, needs no words.

    That is 128 and the number of SIGPIPE, as in shells.
    """
    if error.errno == errno.EPIPE:
        return 128 + 13
    say(f"batchlab: error: standard output cannot be written: {error}. What was saved is kept.")
    return 1


def say(message: str) -> None:
    """Prints a message to standard error, if that can be."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    # What is left in the stream would be tried once more, and complained about, as the process ends.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
