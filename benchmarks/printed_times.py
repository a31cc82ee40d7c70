"""Compare the printed times of N epochs with the time that passes.

python benchmarks/printed_times.py [ROUNDS] [OPTION OF batchlab fit]...     (default: 5 rounds)

To leave out the start of a process, a run with N epochs is subtracted from one with 2 N. Validation, figures,
checkpoints and loggers are switched off. An epoch's printed time goes from its first hook to its last, so the gap is
what Lightning does between two epochs. Times are printed with three decimals, that is, in whole milliseconds.
"""

import re
import subprocess
import sys
import time
from statistics import median

OFF = [
    "--trainer.limit_val_batches=0", "--trainer.logger=false", "--trainer.enable_checkpointing=false",
    "--epoch_report.figure_every_n_epochs=1000000",
]  # fmt: skip
EPOCHS = {1: 20, 10: 100, 1100: 1000}


def run(size: int, epochs: int, options: list[str]) -> tuple[float, list[float]]:
    words = [sys.executable, "-m", "batchlab", "fit", f"--data.batch_size={size}", f"--trainer.max_epochs={epochs}"]
    start = time.perf_counter()
    out = subprocess.run([*words, *OFF, *options], check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, [float(s) for s in re.findall(r"time = +([\d.]+) sec", out)]


def main(rounds: int, options: list[str]) -> None:
    print("| batch size | by the wall | as printed | gap |\n| ---: | ---: | ---: | ---: |")
    for size, more in EPOCHS.items():
        walls, printed = [], []
        for _ in range(rounds):
            short, long = run(size, more, options), run(size, 2 * more, options)
            walls.append(long[0] - short[0])
            printed.append(sum(long[1]) - sum(short[1]))
        wall, said = median(walls), median(printed)
        print(
            f"| {size} | {wall / more * 1e3:.3f} ms | {said / more * 1e3:.3f} ms | {1 - said / wall:.1%} |", flush=True
        )


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["5"])[0]), sys.argv[2:])
