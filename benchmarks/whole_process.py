"""Whole processes: the time of their epochs, seen from outside, their memory, and the metrics that they leave."""

import csv
import os
import shutil
import subprocess
import time
from pathlib import Path

from conftest import one_thread

SECONDS = float(os.environ.get("SECONDS", "5"))  # for which epochs are counted
SHORT = 2  # epochs of a short run, and those that are not counted
ENDLESS = 10**9  # epochs of a run that is killed
FOLDER = Path("run")  # of the latest process
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}  # macOS and Windows do not tell
MEASURED = max(CORES)  # the core of what is measured


class ProcessError(Exception):
    """A process failed. The message is the end of its output."""


def leave_a_core() -> None:
    """Keep this process off the core of those that it measures, if there is another one."""
    stay_on(CORES - {MEASURED} or CORES, os.getpid())


def stay_on(cores: set[int], process: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, cores)


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start a command in an empty folder, on one thread, and on one core, since not every program obeys the former."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    caches = {name: str(Path(name).resolve()) for name in ("BLOCKSTEP_CACHE", "TORCHINDUCTOR_CACHE_DIR")}
    environment = one_thread() | caches | {"PYTHONUNBUFFERED": "1"}  # a line arrives when it is printed
    process = subprocess.Popen(
        words, cwd=FOLDER, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    stay_on({MEASURED}, process.pid)
    return process


def run(words: list[str]) -> str:
    """Run a command to its end and return its output."""
    process = start(words)
    output, _ = process.communicate()
    if process.returncode:
        raise ProcessError(f"exit status {process.returncode} of {' '.join(words)}\n{output[-2000:]}")
    return output


def last_metrics() -> dict[str, float]:
    """Return the last value in each column of the metrics.csv that the latest process wrote."""
    last: dict[str, str] = {}
    with next(FOLDER.rglob("metrics.csv")).open(newline="") as file:
        for row in csv.DictReader(file):
            last |= {name: value for name, value in row.items() if value}
    return {name: float(value) for name, value in last.items() if name.startswith(("train/", "val/"))}


class Epochs:
    """The time of an epoch of a program that prints a line in each, in each round.

    Args:
        words: The program's command line.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self.seconds: list[float] = []  # of an epoch
        self.memory: list[int] = []  # the peak, in bytes

    def measure(self) -> None:
        """Measure a round: from line number `SHORT` to the first one that is printed SECONDS later."""
        process = start(self._words)
        try:
            ends = self._ends(process)
        finally:
            process.kill()
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds.append((ends[-1] - ends[SHORT - 1]) / (len(ends) - SHORT))
        self.memory.append(usage.ru_maxrss * 1024)

    def _ends(self, process: subprocess.Popen[str]) -> list[float]:
        """Return when the lines of epochs have arrived."""
        lines: list[str] = []
        ends: list[float] = []
        while len(ends) <= SHORT or ends[-1] - ends[SHORT - 1] < SECONDS:
            lines.append(process.stdout.readline())
            if not lines[-1]:
                raise ProcessError(f"{' '.join(self._words)} has ended by itself.\n{''.join(lines)[-2000:]}")
            if lines[-1].startswith("epoch = "):
                ends.append(time.perf_counter())
        return ends


class Printed:
    """A time that a program measures itself and prints last, in seconds.

    Args:
        words: The program's command line.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self.seconds: list[float] = []

    def measure(self) -> None:
        self.seconds.append(float(run(self._words).split()[-1]))
