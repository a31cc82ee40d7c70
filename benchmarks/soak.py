"""Train for very long, and print how memory, the number of open files and the size of the run folder change.

python benchmarks/soak.py [MILLIONS OF STEPS]     (default: 50)

The training is online learning with the compiled engine, with 1100 steps in an epoch and a validation after each.
"""

import resource
import sys
import tempfile
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from batchlab.cli import main as batchlab

ROWS = 10


class Look(Callback):
    """Print a row of the table every so many epochs."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch % self.every:
            return
        now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        files = len(list(Path("/proc/self/fd").iterdir()))
        events = sum(path.stat().st_size for path in Path(str(trainer.log_dir)).glob("events*"))
        table = (Path(str(trainer.log_dir)) / "metrics.csv").stat().st_size if trainer.current_epoch else 0
        step = trainer.global_step
        print(
            f"| {step:,} | {now:.0f} MiB | {files} | {events / 2**20:.1f} MiB | {table / 2**20:.1f} MiB |", flush=True
        )


def main() -> None:
    epochs = int(float(sys.argv[1] if sys.argv[1:] else 50) * 1e6 / 1100)
    print("| steps | memory | open files | event files | metrics.csv |\n| ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [
            "batchlab", "fit", "--model.engine=compiled", "--data.batch_size=1", "--data.num_validation=1000",
            f"--trainer.max_epochs={epochs + 1}", f"--trainer.default_root_dir={folder}",
            f"--epoch_report.print_every_n_epochs={epochs * 2}", "--epoch_report.figure_every_n_epochs=1000",
            "--trainer.callbacks+=soak.Look", f"--trainer.callbacks.every={max(epochs // ROWS, 1)}",
        ]  # fmt: skip
        raise SystemExit(batchlab())


if __name__ == "__main__":
    main()
