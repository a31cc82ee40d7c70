"""Measure time per step and memory with 1, 10, 100, 1000 and 10,000 times the events.

python benchmarks/growth.py [OPTION OF batchlab fit]...

Each size runs in a process of its own. A step has ten events.
"""

import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from batchlab.cli import main as batchlab

FACTORS = (1, 10, 100, 1000, 10_000)
STEPS = 20_000  # at most, for an epoch: the time of a step is known as well as after all 1.1 million


def measure(factor: int, options: list[str]) -> None:
    """Train on one size in this process. Print seconds per step and peak memory in MiB to standard error, as JSON."""
    steps = 110 * factor
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [
            "batchlab", "fit", f"--data.num_signal={100 * factor}", f"--data.num_background={1000 * factor}",
            f"--trainer.limit_train_batches={min(steps, STEPS)}", f"--trainer.max_epochs={3 if steps > 2000 else 30}",
            "--trainer.limit_val_batches=0", "--epoch_report.figure_every_n_epochs=1000",
            f"--trainer.default_root_dir={folder}", *options,
        ]  # fmt: skip
        if batchlab():
            raise SystemExit("batchlab refused its arguments")
        with next(Path(folder).rglob("metrics.csv")).open(newline="") as file:
            seconds = [float(row["time/epoch_sec"]) for row in csv.DictReader(file) if row["time/epoch_sec"]]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([median(seconds[1:]) / min(steps, STEPS), memory]), file=sys.stderr)


def main() -> None:
    print("| events | time a step | to the first | memory | over the first, per event |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    first = None
    for factor in FACTORS:
        words = [sys.executable, __file__, "--measure", str(factor), *sys.argv[1:]]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        step, memory = json.loads(done.stderr.splitlines()[-1])
        first = first or (step, memory)
        events = 1100 * factor
        more = f"{(memory - first[1]) * 2**20 / (events - 1100):.0f} bytes" if factor > 1 else ""
        print(f"| {events:,} | {step * 1e6:.1f} µs | {step / first[0]:.2f} | {memory:.0f} MiB | {more} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]), sys.argv[3:])
    else:
        main()
