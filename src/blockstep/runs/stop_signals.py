"""Ctrl-C and SIGTERM: without this module, they would end a training in the middle of a block, with nothing saved."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from blockstep.base.errors import Interrupted

NO_SIGNAL = 0


class StopSignals:
    """The signals that a process has received.

    The first one raises `Interrupted`, or is kept if `postpone` was called. A second one ends the process at once.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.received = NO_SIGNAL
        self._at = 0.0
        self._postponed = False
        self._process = os.getpid()
        self._handlers: dict[int, Any] = {signal.SIGINT: self._receive, signal.SIGTERM: self._receive}
        self._before: dict[int, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals within the context; afterwards, restore the previous handlers."""
        self._reset()
        self.listen()
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._reset()

    def listen(self) -> None:
        """Install the handlers, again if something else has replaced them."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread may install handlers
            return
        for number, handler in self._handlers.items():
            before = signal.signal(number, handler)
            self._before.setdefault(number, before)

    def listen_for(self, number: int) -> None:
        """Handle one more signal as a reason to stop."""
        self._handlers[number] = self._receive
        self.listen()

    def ignore(self, number: int) -> None:
        """Ignore a signal."""
        # Not SIG_IGN, which child processes would inherit.
        self._handlers[number] = _do_nothing
        self.listen()

    def postpone(self) -> None:
        """From now on, only record the first signal in `received`."""
        self._postponed = True

    def stop_postponing(self) -> None:
        """From now on, the first signal raises `Interrupted` again; one that was recorded does not."""
        self._postponed = False

    def raise_received(self) -> None:
        """Raise `Interrupted` if a signal was recorded."""
        if self.received:
            raise Interrupted(self.received)

    @property
    def seconds_since(self) -> float:
        """Seconds since the first signal; 0 if there was none."""
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
"""The signals of this process, which has one handler for each."""


def _receive_in_a_worker(number: int) -> None:
    # Ctrl-C reaches all processes of a terminal. A worker goes on, since the current block may need its data; its
    # parent ends it.
    if number != signal.SIGINT:
        _end_by(number)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
