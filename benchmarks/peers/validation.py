"""What the peers of the whole job share: the validation events, their four numbers by hand, and metrics.csv.

numpy only, since JAX has an environment without torch. The peers' command line is FILE BATCH_SIZE EPOCHS ...
"""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

COLUMNS = ("epoch", "train/last_batch_loss", "val/loss", "val/regret", "val/auroc", "val/average_precision")

with np.load(sys.argv[1]) as file:
    x, t, p = (file[f"validation_{name}"].astype("f4") for name in "xtp")
labels, exact = t[:, 0].astype("f8"), p[:, 0].astype("f8")
entropy = -np.mean(exact * np.log(exact) + (1 - exact) * np.log(np.where(exact < 1, 1 - exact, 1)))


def scores(logits: np.ndarray) -> tuple[float, float, float, float]:
    """Return the BCE, the regret, and the areas under the ROC and precision-recall curves, from logits (n,)."""
    logits = logits.astype("f8")
    softplus = np.logaddexp(0, logits).mean()
    order = np.argsort(-logits)
    ends = np.flatnonzero(np.diff(logits[order], append=np.inf))  # events with equal logits count together
    hits = np.cumsum(labels[order])[ends]
    misses = ends + 1 - hits
    new_hits, new_misses = np.diff(hits, prepend=0), np.diff(misses, prepend=0)
    auroc = np.sum(new_misses * (hits - new_hits / 2)) / (hits[-1] * misses[-1])
    precision = np.sum(new_hits * hits / (ends + 1)) / hits[-1]
    size = len(logits)
    return softplus - labels @ logits / size, softplus - exact @ logits / size - entropy, auroc, precision


def run(train: Callable[[], float], logits: Callable[[], np.ndarray]) -> None:
    """Train and validate as many epochs as the command line says. Print each, and write it to metrics.csv."""
    with Path("metrics.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for epoch in range(int(sys.argv[3])):
            row = [epoch, train(), *scores(logits())]
            table.writerow(row)
            file.flush()
            print(f"epoch = {epoch}, loss = {row[1]}")
