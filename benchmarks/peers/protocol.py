"""Functions that all peers share: read the events from a file, and train epochs on request."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Epochs = Callable[[int], list[float]]


def events() -> tuple[Any, Any, int]:
    """Return events x (n, 2), t (n, 1) and the batch size. The command line is FILE BATCH_SIZE ..."""
    with np.load(sys.argv[1]) as file:
        return file["x"].astype("f4"), file["t"].astype("f4"), int(sys.argv[2])


def serve(epochs: Epochs) -> None:
    """Train the number of epochs that argument 3 gives.

    If argument 3 is not a number, read numbers of epochs from standard input, a line each. After each, train as many
    epochs, and print the seconds of each as a JSON list.
    """
    if len(sys.argv) > 3 and sys.argv[3].isdigit():
        epochs(int(sys.argv[3]))
        return
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard output is for answers only, so a library's output goes to stderr
    for line in sys.stdin:
        print(json.dumps(epochs(int(line))), file=answers, flush=True)
