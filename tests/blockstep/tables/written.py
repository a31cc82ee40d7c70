"""Tables that are written for tests, and the words of a fit on them."""

from pathlib import Path

import numpy as np

RUN = Path("runs/run/version_0")
LAST = str(RUN / "checkpoints" / "last.ckpt")
DATA = ("--data=blockstep.tables.TableDataModule", "--data.path=table.csv", "--data.label=kind")
CLASSES = (*DATA, "--model=blockstep.tables.Classifier", "--model.in_features=2", "--model.classes=2")
NUMBER = (*DATA, "--data.target=number", "--model=blockstep.tables.Regressor", "--model.in_features=2")


def rows_of_classes(count=60):
    """Lines of two features, a length in millimetres and a weight, and a class that depends on both."""
    rng = np.random.default_rng(0)
    for row in range(count):
        kind = "dog" if row % 3 == 0 else "cat"
        length, weight = rng.normal([900, 30] if kind == "dog" else [450, 4], [100, 1])
        yield f"{length:.1f},{weight:.2f},{kind}"


def rows_of_numbers(count=60):
    """Lines of two features and a number in the ten thousands that depends on both."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        length, weight = rng.normal([450, 4], [100, 1])
        yield f"{length:.1f},{weight:.2f},{20000 + 50 * length + 3000 * weight:.0f}"


def write(*lines, name="table.csv", header="length,weight,kind"):
    """Write a CSV file."""
    Path(name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def edited(row, line):
    """The lines of a table of classes, with one row, counted from 1, replaced."""
    lines = list(rows_of_classes())
    lines[row - 1] = line
    return lines
