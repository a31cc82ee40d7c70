"""The exceptions that the command line turns into a message and an exit status."""


class BadInputError(Exception):
    """What the user gave cannot be used; the message says which rule, key and value. Exit status 2."""

    status = 2


class RunError(Exception):
    """A run could not go on; what it had saved is kept. Exit status 1."""

    status = 1


class InterruptedRunError(RunError):
    """A signal ended a run after its state was saved; as in shells, the exit status is 128 and the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.status = 128 + signal_number
