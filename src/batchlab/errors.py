"""What can go wrong in a way that the person at the keyboard can mend."""


class BadInputError(Exception):
    """Arguments or files that batchlab was given cannot be used: exit status 2, and nothing was started."""
