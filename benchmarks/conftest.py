"""Start each peer as a process that waits for requests, so that all peers are timed in turn in each round."""

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
# JAX and scikit-learn have an environment of their own, since they install scipy, which would slow batchlab's start.
OTHER_PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)


def command(peer: str, *words: object) -> list[str]:
    """Return the command line of a peer."""
    python = OTHER_PYTHON if peer in ("jax_scan", "whole_job_jax", "sklearn_mlp") else sys.executable
    return [python, str(PEERS / f"{peer}.py"), *map(str, words)]


def one_thread() -> dict[str, str]:
    """Return environment variables that limit a peer to one thread."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1")


class Worker:
    """A peer in a process of its own, which trains epochs on request."""

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
        """Train so many epochs and return the seconds of each."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the notebook's events to a file that all peers read."""
    path = tmp_path_factory.mktemp("events") / "events.npz"
    x, t = draw_events(100, 1000, 0)
    np.savez(path, x=x, t=t)
    return path


@pytest.fixture(scope="session")
def workers() -> Iterator[dict[tuple[object, ...], Worker]]:
    """Return the peers that were started, by case and batch size. Stop them at the end."""
    started: dict[tuple[object, ...], Worker] = {}
    yield started
    for worker in started.values():
        worker.stop()
