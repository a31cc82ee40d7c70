import pytest
import trained_weights
from shipped import config
from systems import needs_compiler

from batchlab.model import BinaryClassifier

pytestmark = [pytest.mark.slow, needs_compiler]
COMPILED = "--model.engine=compiled"


def fit(batchlab, *words, name="minibatch"):
    """Weights, logged rows and folder of a run."""
    return trained_weights.fit(batchlab, BinaryClassifier, *words, name=name)


def assert_close(ours, theirs, seed=0):
    """The runs end in the same place, beside the way that they have come."""
    trained_weights.assert_close(ours, theirs, BinaryClassifier, seed)


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
