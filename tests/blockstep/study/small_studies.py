"""Small studies of the example, for the tests of the command."""

import csv
from pathlib import Path

WORDS = (
    "--vary=data.batch_size=10,100",
    "--vary=model.optimizer.lr=.3,3",
    "--targets=.62,.58",
    "--budget=2",
    "--data.num_training=200",
)
"""Four trainings for each seed, of at most 40 steps."""

FOLDER = Path("runs/study")

TIMES = ("seconds", "timed_alone")


def rows(folder=FOLDER):
    """The table without the times and what is said about them."""
    with (folder / "study.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def trainings(folder=FOLDER):
    """The files of the finished trainings, with the times at which they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "trainings").glob("*.json")}


def outcomes(folder=FOLDER):
    """How each training has ended."""
    return {row["run"]: row["outcome"] for row in rows(folder)}
