"""Ctrl-C and SIGTERM, heard from a command's start to its end: they end it at once or, in training, with a block."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from batchlab.errors import Interrupted

UNHEARD = 0
"""No signal has this number."""


class StopSignals:
    """What a process has been told by signals; there is one, since a process has one handler for each of them.

    A first signal raises `Interrupted` where the process stands, or is kept for whoever has called `postpone`. A second
    one ends the process at once.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.received = UNHEARD
        self._at = 0.0
        self._postponed = False
        self._process = os.getpid()
        self._handlers: dict[int, Any] = {signal.SIGINT: self._receive, signal.SIGTERM: self._receive}
        self._before: dict[int, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listens within; afterwards, signals do what they did before."""
        self._reset()
        self.listen()
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._reset()

    def listen(self) -> None:
        """Takes the signals, also from whoever has taken them meanwhile."""
        if threading.current_thread() is not threading.main_thread():  # nobody else may
            return
        for number, handler in self._handlers.items():
            before = signal.signal(number, handler)
            self._before.setdefault(number, before)

    def listen_for(self, number: int) -> None:
        """Takes one more signal for a reason to stop."""
        self._handlers[number] = self._receive
        self.listen()

    def overhear(self, number: int) -> None:
        """Takes a signal and does nothing about it."""
        # Not SIG_IGN, which the programs that are started from here would inherit.
        self._handlers[number] = _do_nothing
        self.listen()

    def postpone(self) -> None:
        """From now on, keeps a first signal for whoever asks."""
        self._postponed = True

    def postpone_no_more(self) -> None:
        """From now on, a first signal is an exception again; one that was kept stays kept."""
        self._postponed = False

    @property
    def seconds_ago(self) -> float:
        """How long ago the first signal came; 0 if none did."""
        return time.monotonic() - self._at if self.received else 0.0

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            _receive_in_a_worker(number)
        elif self.received:
            _end_by(number)
        else:
            self.received, self._at = number, time.monotonic()
            if not self._postponed:
                raise Interrupted(number)


STOP_SIGNALS = StopSignals()
"""Those of this process."""


def _receive_in_a_worker(number: int) -> None:
    # Ctrl-C reaches all of a terminal's processes at once. A worker goes on, for the sake of the block that is to end;
    # whoever has started it ends it, too.
    if number != signal.SIGINT:
        _end_by(number)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
