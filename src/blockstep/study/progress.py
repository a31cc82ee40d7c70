"""How far a study is: without this module, a student would not know whether to wait or to go for a coffee."""

import sys
import time

from blockstep.cli.progress_bar import TimedTqdm

SECONDS_PER_LINE = 10.0
"""From one line to the next where there is no terminal."""


class Progress:
    """A bar on a terminal, and lines elsewhere, with the trainings that are done and running, and the time left.

    Args:
        seconds: The predicted seconds of each training that is to come.
        workers: Trainings at the same time.
    """

    def __init__(self, seconds: list[float], workers: int) -> None:
        self._left, self._done = sum(seconds), 0.0
        self._trainings, self._finished, self._workers = len(seconds), 0, workers
        self._start = self._said = time.monotonic()
        on_terminal = sys.stdout.isatty()
        form = "{n_fmt}/{total_fmt} trainings |{bar}| {elapsed}, {postfix}"
        options = {"disable": not on_terminal, "file": sys.stdout, "dynamic_ncols": True, "bar_format": form}
        self._bar = TimedTqdm(total=len(seconds), **options)
        self._lines = not on_terminal

    def finish_one(self, seconds: float) -> None:
        """Count a training that is done.

        Args:
            seconds: Its predicted seconds.
        """
        self._finished += 1
        self._left, self._done = self._left - seconds, self._done + seconds
        text = f"{min(self._workers, self._trainings - self._finished)} running, {in_words(self.seconds_left)} left"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._lines and (now - self._said >= SECONDS_PER_LINE or self._finished == self._trainings):
            self._said = now
            print(f"{self._finished} of {self._trainings} trainings, {text}", flush=True)

    @property
    def seconds_left(self) -> float:
        """The predicted seconds left, corrected by how long those that are done have taken."""
        elapsed = time.monotonic() - self._start
        return max(self._left, 0.0) * elapsed / self._done if self._done else self._left / self._workers

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def in_words(seconds: float) -> str:
    """Return a time in seconds or minutes.

    Example:
        >>> in_words(75), in_words(300)
        ('75 s', '5 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - still read at a glance
