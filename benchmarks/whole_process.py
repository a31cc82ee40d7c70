"""Whole processes: their wall time and memory, the time of their epochs, and the metrics that they leave behind."""

import csv
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import one_thread

SECONDS = float(os.environ.get("SECONDS", "5"))  # by which a long run takes longer than a short one
SHORT = 2  # epochs of a short run
FOLDER = Path("run")  # of the latest process


def use_one_core() -> None:
    """Keep this process and those that it starts on one core: not every program obeys what limits its threads."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class ProcessError(Exception):
    """A process failed. The message is the end of its output."""


@dataclass(frozen=True)
class Process:
    """A process that has ended: its wall time, its peak memory in bytes, and its output."""

    seconds: float
    memory: int
    output: str


def run(words: list[str]) -> Process:
    """Run a command in an empty folder, on one thread of one core, with its output in a file."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    caches = {name: str(Path(name).resolve()) for name in ("BLOCKSTEP_CACHE", "TORCHINDUCTOR_CACHE_DIR")}
    with (FOLDER / "output.txt").open("w") as file:
        start = time.perf_counter()
        process = subprocess.Popen(words, cwd=FOLDER, env=one_thread() | caches, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    output = (FOLDER / "output.txt").read_text()
    if process.returncode:
        raise ProcessError(f"exit status {process.returncode} of {' '.join(words)}\n{output[-2000:]}")
    return Process(seconds, usage.ru_maxrss * 1024, output)


def last_metrics() -> dict[str, float]:
    """Return the last value in each column of the metrics.csv that the latest process wrote."""
    last: dict[str, str] = {}
    with next(FOLDER.rglob("metrics.csv")).open(newline="") as file:
        for row in csv.DictReader(file):
            last |= {name: value for name, value in row.items() if value}
    return {name: float(value) for name, value in last.items() if name.startswith(("train/", "val/"))}


class Epochs:
    """The time of an epoch of a program: the difference of two lengths of run, in each round.

    Args:
        words: The program's command line for a number of epochs.
    """

    def __init__(self, words: Callable[[int], list[str]]) -> None:
        self._words = words
        self.long = self._long_enough()
        self.seconds: list[float] = []  # of an epoch
        self.differences: list[float] = []  # seconds too
        self.memory: list[int] = []

    def measure(self) -> None:
        """Measure a round. If the difference is too small after all, measure it again with longer runs."""
        short, long = run(self._words(SHORT)), run(self._words(self.long))
        if long.seconds - short.seconds < SECONDS:
            self.long += self.long - SHORT
            self.measure()
            return
        self.differences.append(long.seconds - short.seconds)
        self.seconds.append(self.differences[-1] / (self.long - SHORT))
        self.memory.append(long.memory)

    def _long_enough(self) -> int:
        """Return a number of epochs that takes SECONDS longer than SHORT, and a third more for safety."""
        short, epochs, more = run(self._words(SHORT)).seconds, SHORT, 0.0
        while more < SECONDS / 3:
            epochs *= 3
            more = run(self._words(epochs)).seconds - short
        return SHORT + math.ceil((epochs - SHORT) / more * SECONDS * 4 / 3)


class Printed:
    """A time that a program measures itself and prints last, in seconds.

    Args:
        words: The program's command line.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self.seconds: list[float] = []

    def measure(self) -> None:
        self.seconds.append(float(run(self._words).output.split()[-1]))
