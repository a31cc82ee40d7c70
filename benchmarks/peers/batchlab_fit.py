"""batchlab, by its command line. An epoch's seconds are those that it prints and logs.

python batchlab_fit.py FILE BATCH_SIZE serve OPTION...
"""

import csv
import sys
import tempfile
from pathlib import Path

from protocol import serve

from batchlab.cli import main

batch_size, options = sys.argv[2], sys.argv[4:]


def epochs(count: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [
            "batchlab",
            "fit",
            f"--data.batch_size={batch_size}",
            f"--trainer.max_epochs={count + 1}",
            f"--trainer.default_root_dir={folder}",
            "--trainer.limit_val_batches=0",
            "--epoch_report.figure_every_n_epochs=1000000",
            *options,
        ]
        if main():
            raise SystemExit("batchlab refused its arguments")
        with next(Path(folder).rglob("metrics.csv")).open(newline="") as file:
            seconds = [float(row["time/epoch_sec"]) for row in csv.DictReader(file) if row["time/epoch_sec"]]
    return seconds[1:]  # without the first epoch, which includes the set-up


serve(epochs)
