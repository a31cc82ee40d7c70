"""Errors that end a command with a message and an exit status: without them, it would end with a traceback."""

import signal

TRACEBACK = "BLOCKSTEP_TRACEBACK"
"""Environment variable: if it is set, errors are not translated, so that their traceback is shown."""


LONGEST_LINE = 800
"""Characters of a line of a message."""

MOST_LINES = 30
"""Lines of a message."""


class BadInputError(Exception):
    """What the user gave cannot be used; the message names the rule, the key and the value. Exit status 2."""

    status = 2


class RunError(Exception):
    """A run could not go on; what it had saved is kept. Exit status 1."""

    status = 1


class InterruptedRunError(RunError):
    """A signal ended a run after its state was saved. As in shells, the exit status is 128 plus the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name} {message}")
        self.number = number
        self.status = 128 + number


class OutputError(OSError):
    """Standard output cannot be written: the disk is full, or the reader has gone. Exit status 1, or 141."""


class Interrupted(BaseException):
    """A signal ends a command at once; the exit status is that of `InterruptedRunError`.

    Not an Exception, which code on the way might handle, and not a KeyboardInterrupt, which Lightning handles.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name} ended the command. What was finished before is kept.")
        self.number = number
        self.status = 128 + number


def shortened(message: str) -> str:
    """Return a message with the middle of each long line left out: a value in it may be as long as memory."""
    return "\n".join(_shortened_line(line) for line in message.split("\n", MOST_LINES)[:MOST_LINES])


def _shortened_line(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} […{len(line) - 2 * half} characters…] {line[-half:]}"


def at_least(minimum: int, **values: int) -> None:
    """Raise ValueError for the first of the named values that is smaller than the minimum."""
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}. Got {value} instead.")


def at_most(maximum: int, **values: int) -> None:
    """Raise ValueError for the first of the named values that is larger than the maximum."""
    for name, value in values.items():
        if value > maximum:
            raise ValueError(f"{name} must be at most {maximum}. Got {value} instead.")
