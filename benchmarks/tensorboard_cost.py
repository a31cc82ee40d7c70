"""Measure the time that logging adds to a mini-batch epoch: all loggers, contours, and histograms.

python benchmarks/tensorboard_cost.py [ROUNDS]     (default: 8)

The time is from the start of an epoch to the start of the next, including a validation on 11,000 events. In each round,
all cases are run in turn.
"""

import sys
import tempfile
import time
from itertools import pairwise
from statistics import median, quantiles

from lightning.pytorch import Callback, LightningModule, Trainer

from batchlab.cli import main as batchlab

EPOCHS = 40
NEVER = "--epoch_report.figure_every_n_epochs=1000000"
CASES = {
    "no loggers": ["--trainer.logger=false", NEVER],
    "all loggers": [NEVER],
    "all loggers, a contour an epoch": ["--epoch_report.figure_every_n_epochs=1"],
    "all loggers, histograms": [NEVER, "--trainer.callbacks+=blockstep.tensorboard.histograms.WeightHistograms"],
}


class Clock(Callback):
    """Record when epochs start."""

    starts: list[float] = []  # noqa: RUF012 - the object is not accessible, since LightningCLI makes it

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.starts.append(time.perf_counter())


def epoch_seconds(options: list[str]) -> float:
    Clock.starts.clear()
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [
            "batchlab", "fit", f"--trainer.max_epochs={EPOCHS}", f"--trainer.default_root_dir={folder}",
            f"--epoch_report.print_every_n_epochs={EPOCHS}", "--trainer.callbacks+=tensorboard_cost.Clock", *options,
        ]  # fmt: skip
        if batchlab():
            raise SystemExit("batchlab refused its arguments")
    return median(end - start for start, end in pairwise(Clock.starts[1:]))


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 8
    seconds = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, options in CASES.items():
            seconds[name].append(epoch_seconds(options))
    bare, logged, drawn, counted = seconds.values()
    print("\n| a mini-batch epoch and its validation | over one without loggers | more than with all loggers |")
    print("| --- | ---: | ---: |")
    for name, times in zip(CASES, (bare, logged, drawn, counted), strict=True):
        ratio = quantiles([b / a for a, b in zip(bare, times, strict=True)])
        more = quantiles([(b - a) * 1e3 for a, b in zip(logged, times, strict=True)])
        cells = f"{ratio[1]:.3f} [{ratio[0]:.3f}, {ratio[2]:.3f}] | {more[1]:.1f} [{more[0]:.1f}, {more[2]:.1f}] ms"
        print(f"| {name} | {cells if times is not bare else f'1 ({median(bare) * 1e3:.1f} ms) | '} |")


if __name__ == "__main__":
    from tensorboard_cost import main as same_module_as_the_callbacks

    same_module_as_the_callbacks()
