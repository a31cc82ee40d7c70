"""Time one epoch, of batchlab and of its peers."""

import itertools

import pytest
from conftest import ROUNDS, Worker

EPOCHS = {1: 4, 10: 20, 1100: 100}  # in a peer's turn: the bare loop takes about a second or less

ADAM = ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.01", "--model.optimizer.momentum=0.9"]
BAR = "--trainer.enable_progress_bar=true"
COMPILED = "--model.engine=compiled"
CASES = {
    "bare loop": ["bare_loop"],
    "batchlab": ["batchlab_fit", "serve"],
    "batchlab, with its bar": ["batchlab_fit", "serve", BAR],
    "batchlab, compiled": ["batchlab_fit", "serve", COMPILED],
    "batchlab, block_size 1": ["batchlab_fit", "serve", "--data.block_size=1"],
    "ordinary Lightning template": ["lightning_template"],
    "JAX, jit and scan": ["jax_scan"],
    "scikit-learn MLPClassifier": ["sklearn_mlp"],
    "bare loop, Adam": ["bare_loop", "adam"],
    "batchlab, Adam": ["batchlab_fit", "serve", *ADAM],
    "batchlab, Adam, compiled": ["batchlab_fit", "serve", *ADAM, COMPILED],
    "bare loop, momentum": ["bare_loop", "momentum"],
    "batchlab, momentum": ["batchlab_fit", "serve", *MOMENTUM],
    "batchlab, momentum, compiled": ["batchlab_fit", "serve", *MOMENTUM, COMPILED],
}


# The round is the outermost loop, so that within a round all cases run within the same minutes.
@pytest.mark.parametrize(("turn", "batch_size", "case"), [*itertools.product(range(ROUNDS), EPOCHS, CASES)])
def test_epoch(turn, batch_size, case, events, workers, benchmark):
    peer, *words = CASES[case]
    if (case, batch_size) not in workers:
        workers[case, batch_size] = Worker(peer, events, batch_size, *words)
        workers[case, batch_size].epochs(1)
    seconds = benchmark.pedantic(workers[case, batch_size].epochs, args=(EPOCHS[batch_size],), rounds=1)
    benchmark.extra_info.update(kind="epoch", case=case, batch_size=batch_size, turn=turn, seconds=seconds)
