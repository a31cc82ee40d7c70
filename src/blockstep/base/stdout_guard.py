"""Report output that cannot be written as one message: without it, a full disk or a closed pipe ends in a traceback."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from blockstep.base.errors import OutputError


class GuardedStream:
    """A stream whose failures are `OutputError`s, so that they can be told from those of files.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failure: OutputError | None = None

    def write(self, text: str) -> int:
        """Write text, or raise OutputError."""
        with self._translated_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered, or raise OutputError."""
        with self._translated_errors():
            self._stream.flush()

    def check(self) -> None:
        """Write what is buffered, and raise OutputError if any output was lost. argparse ignores that its help was."""
        self.flush()
        if self._failure is not None:
            raise self._failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = OutputError(error.errno, error.strerror)
            raise self._failure from error


@contextmanager
def guarded_stdout() -> Iterator[None]:
    """Guard standard output. Characters that a terminal cannot show are printed as escape codes.

    Raises:
        OutputError: If output cannot be written, at the end at the latest.
    """
    if sys.stdout is None:  # closed by the shell (>&-), which asks for no output
        with open(os.devnull, "w", encoding="utf-8") as nowhere, _stdout(nowhere):  # noqa: PTH123 - no path of ours
            yield
        return
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    before = sys.stdout
    guard: Any = GuardedStream(before)
    sys.stdout = guard
    try:
        try:
            yield
        finally:
            guard.check()  # also after --help, which ends by SystemExit
    except OutputError:
        _discard_buffer(before)
        raise
    finally:
        sys.stdout = before


@contextmanager
def _stdout(stream: TextIO) -> Iterator[None]:
    sys.stdout = stream
    try:
        yield
    finally:
        sys.stdout = None  # as Python has it


def output_status(program: str, error: OutputError) -> int:
    """Return the exit status of a command whose output was lost, and say why unless the reader has closed the pipe.

    For a closed pipe, as `head` leaves it, the status is 128 plus the number of SIGPIPE, as in shells.
    """
    if error.errno == errno.EPIPE:
        return 128 + 13
    say(f"{program}: error: standard output cannot be written: {error}. What was saved is kept.")
    return 1


def say(message: str) -> None:
    """Print a message to standard error; do nothing if that is not possible."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        _discard_buffer(sys.stderr)


def _discard_buffer(stream: TextIO) -> None:
    # Python would try to write the buffer once more, and complain, as the process ends.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
