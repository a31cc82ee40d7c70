"""The example in processes of their own, and what its runs leave."""

from pathlib import Path

import yaml
from processes import run_process

from blockstep.runs.csv_logger import read_rows

RUN = Path("runs/run/version_0")
LAST = str(RUN / "checkpoints" / "last.ckpt")
QUICK = ("--data.num_validation=50", "--data.num_test=50", "--data.batch_size=100")


def start(*words, **environment):
    """Run a command in a process of its own, to its end."""
    return run_process("example", *words, **environment)


def logged(key, folder=RUN):
    """The values of a column of a run's table, as text."""
    return [row[key] for row in read_rows(folder / "metrics.csv") if row.get(key)]


def saved_config(folder=RUN):
    """A run's config."""
    return yaml.safe_load((folder / "config.yaml").read_text())
