"""Peers as processes that wait for work, so that the same round asks all of them, one after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batchlab.toy import draw_events

ROUNDS = int(os.environ.get("ROUNDS", "9"))
PEERS = Path(__file__).parent / "peers"
# JAX and scikit-learn bring scipy along, which would slow batchlab's start: they have an environment of their own.
OTHER_PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)


def command(peer: str, *words: object) -> list[str]:
    """The command line of a peer."""
    python = OTHER_PYTHON if peer in ("jax_scan", "sklearn_mlp") else sys.executable
    return [python, str(PEERS / f"{peer}.py"), *map(str, words)]


def one_thread() -> dict[str, str]:
    """The environment of every peer."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1")


class Worker:
    """A peer that trains epochs when asked."""

    def __init__(self, peer: str, *words: object) -> None:
        self._process = subprocess.Popen(
            command(peer, *words),
            env=one_thread(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def epochs(self, count: int) -> list[float]:
        """Seconds of so many epochs."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook's events, as a file for all peers."""
    path = tmp_path_factory.mktemp("events") / "events.npz"
    x, t = draw_events(100, 1000, 0)
    np.savez(path, x=x, t=t)
    return path


@pytest.fixture(scope="session")
def workers() -> Iterator[dict[tuple[object, ...], Worker]]:
    """The peers that have been started."""
    started: dict[tuple[object, ...], Worker] = {}
    yield started
    for worker in started.values():
        worker.stop()
