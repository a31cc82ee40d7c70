"""The exceptions that the command line turns into a message and an exit status."""

import signal

TRACEBACK = "BATCHLAB_TRACEBACK"
"""Environment variable: set to anything, it lets errors through as they are, for those who work on the code."""


class BadInputError(Exception):
    """What the user gave cannot be used; the message says which rule, key and value. Exit status 2."""

    status = 2


class RunError(Exception):
    """A run could not go on; what it had saved is kept. Exit status 1."""

    status = 1


class InterruptedRunError(RunError):
    """A signal ended a run, whose end is put in order; as in shells, the exit status is 128 and the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name} {message}")
        self.number = number
        self.status = 128 + number


class OutputError(OSError):
    """Standard output cannot be written: a full disk, or a reader that has gone. Exit status 1, or 141."""


class Interrupted(BaseException):
    """A signal ends a command wherever it stands; exit status as above.

    Not an Exception, which somebody on its way might handle; nor a KeyboardInterrupt, which Lightning does handle.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"{signal.Signals(number).name} ended the command. What was finished before is kept.")
        self.number = number
        self.status = 128 + number
