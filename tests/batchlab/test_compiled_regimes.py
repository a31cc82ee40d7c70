import csv
from pathlib import Path

import pytest
import torch
from shipped import config
from systems import needs_compiler

from batchlab.model import BinaryClassifier

pytestmark = [pytest.mark.slow, needs_compiler]
COMPILED = "--model.engine=compiled"


def fit(batchlab, *words, name="minibatch"):
    """Weights and logged rows of a run."""
    assert batchlab("fit", *words, f"--name={name}", "--data.num_validation=200") == 0
    folder = max(Path(f"runs/{name}").iterdir(), key=lambda path: int(path.name.removeprefix("version_")))
    model = BinaryClassifier.load_from_checkpoint(folder / "checkpoints" / "last.ckpt", weights_only=True)
    with (folder / "metrics.csv").open(newline="") as file:
        return list(model.parameters()), list(csv.DictReader(file)), folder


def flat(weights):
    return torch.cat([weight.detach().flatten() for weight in weights])


def assert_close(ours, theirs, seed=0):
    """The runs end in the same place, beside the way that they have come.

    Whether each step is right is tested with the compiled engine. Here the question is whether the right steps are
    taken: on the right events, in their order, at the right rate. A step too many, too few or another moves the weights
    by much more than a hundredth of the way; how far rounding leads depends on the processor, and stays far below.
    """
    torch.manual_seed(seed)
    start = flat(BinaryClassifier().parameters())
    assert (flat(ours) - flat(theirs)).norm() < 0.01 * (flat(theirs) - start).norm()


@pytest.mark.parametrize("regime", ["batch", "online", "minibatch"])
def test_a_compiled_epoch_agrees_with_eager(regime, batchlab):
    eager, rows, _ = fit(batchlab, "--config", config(regime), name="eager")
    compiled, compiled_rows, _ = fit(batchlab, "--config", config(regime), COMPILED, name="compiled")
    assert_close(compiled, eager)
    for key in ("train/loss", "train/last_batch_loss", "val/loss"):
        losses = [[float(row[key]) for row in table if row[key]] for table in (compiled_rows, rows)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-2)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_compiled_epoch_agrees_with_eager_from_any_weights_on_any_events(seed, batchlab):
    words = [f"--seed_everything={seed}", f"--data.seed={seed}", f"--data.batch_size={2 * seed + 1}"]
    eager, rows, _ = fit(batchlab, *words, name="eager")
    compiled, compiled_rows, _ = fit(batchlab, *words, COMPILED, name="compiled")
    assert_close(compiled, eager, seed)
    losses = [[float(row["train/loss"]) for row in table if row["train/loss"]] for table in (compiled_rows, rows)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
