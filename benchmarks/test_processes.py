"""Time whole processes, from their start to their end."""

import itertools
import subprocess
import sys

import pytest
from conftest import ROUNDS, command, one_thread

LONG = {1: 2000, 10: 5000, 1100: 5000}
BARE = ["--trainer.limit_val_batches=0", "--epoch_report.figure_every_n_epochs=1000000"]
SILENT = ["--epoch_report.print_every_n_epochs=1000000"]


def batchlab(batch_size, *options):
    return [sys.executable, "-m", "batchlab", "fit", f"--data.batch_size={batch_size}", *options]


def run(words, folder, cache):
    environment = one_thread() | {"BLOCKSTEP_CACHE": str(cache)}
    subprocess.run(words, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


SHORT = {
    "bare loop": lambda events, size: command("bare_loop", events, size, 1),
    "batchlab": lambda events, size: batchlab(size),
    "batchlab, compiled, warm cache": lambda events, size: batchlab(size, "--model.engine=compiled"),
    "batchlab, compiled, cold cache": lambda events, size: batchlab(size, "--model.engine=compiled"),
    "JAX, jit and scan": lambda events, size: command("jax_scan", events, size, 1),
}


@pytest.mark.parametrize(("turn", "batch_size", "case"), [*itertools.product(range(ROUNDS), LONG, SHORT)])
def test_process_of_one_epoch(turn, batch_size, case, events, tmp_path, tmp_path_factory, benchmark):
    warm = tmp_path_factory.getbasetemp() / "warm"
    cache = tmp_path / "cold" if "cold" in case else warm
    if "warm" in case:
        run(batchlab(batch_size, "--model.engine=compiled"), tmp_path, cache)
    benchmark.pedantic(run, args=(SHORT[case](events, batch_size), tmp_path, cache), rounds=1)
    seconds = [benchmark.stats.stats.min]
    benchmark.extra_info.update(kind="process", case=case, batch_size=batch_size, turn=turn, seconds=seconds)


MANY = {
    "JAX, jit and scan": lambda events, size: command("jax_scan", events, size, LONG[size]),
    "batchlab, compiled, warm cache": lambda events, size: batchlab(
        size, "--model.engine=compiled", f"--trainer.max_epochs={LONG[size]}", *BARE
    ),
    "the same, printing the last epoch only": lambda events, size: batchlab(
        size, "--model.engine=compiled", f"--trainer.max_epochs={LONG[size]}", *BARE, *SILENT
    ),
}


@pytest.mark.parametrize(("turn", "batch_size", "case"), [*itertools.product(range((ROUNDS + 2) // 3), LONG, MANY)])
def test_process_of_many_epochs(turn, batch_size, case, events, tmp_path, tmp_path_factory, benchmark):
    cache = tmp_path_factory.getbasetemp() / "warm"
    run(batchlab(batch_size, "--model.engine=compiled"), tmp_path, cache)
    benchmark.pedantic(run, args=(MANY[case](events, batch_size), tmp_path, cache), rounds=1)
    seconds = [benchmark.stats.stats.min]
    benchmark.extra_info.update(kind="long process", case=case, batch_size=batch_size, turn=turn, seconds=seconds)


START = {
    "import torch": ["-c", "import torch"],
    "batchlab --help": ["-m", "batchlab", "--help"],
    "batchlab --version": ["-m", "batchlab", "--version"],
    "batchlab fit --help": ["-m", "batchlab", "fit", "--help"],
}


@pytest.mark.parametrize(("turn", "case"), [*itertools.product(range(ROUNDS), START)])
def test_start(turn, case, tmp_path, benchmark):
    benchmark.pedantic(run, args=([sys.executable, *START[case]], tmp_path, tmp_path), rounds=1)
    seconds = [benchmark.stats.stats.min]
    benchmark.extra_info.update(kind="start", case=case, batch_size=None, turn=turn, seconds=seconds)
