"""The promise that everything else stands on: the notebook's numbers, to the last digit."""

import re

import pytest
import torch
from plain_loop import loader, rows, slices, train, whole
from shipped import config

from batchlab.model import BinaryClassifier

REGIMES = {"batch": whole, "online": slices(1), "minibatch": slices(10)}
NOTEBOOK = {"batch": 0.6771492958068848, "online": 0.004922322928905487, "minibatch": 0.4907013773918152}


def fit(batchlab, capsys, regime, *words):
    """Returns the printed losses and the weights of the checkpoint."""
    assert batchlab("fit", "--config", config(regime), *words) == 0
    losses = [float(loss) for loss in re.findall(r"^epoch = .* loss = (.*)$", capsys.readouterr().out, re.MULTILINE)]
    model = BinaryClassifier.load_from_checkpoint(
        f"runs/{regime}/version_0/checkpoints/last.ckpt", map_location="cpu", weights_only=True
    )
    return losses, list(model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("regime", REGIMES)
def test_losses_and_weights_equal_the_plain_loops_to_the_bit(regime, seed, batchlab, capsys):
    words = [f"--seed_everything={seed}", "--trainer.max_epochs=3", "--trainer.limit_val_batches=0"]
    losses, weights = fit(batchlab, capsys, regime, *words)
    expected_losses, expected_weights = train(REGIMES[regime], epochs=3, seed=seed)
    assert losses == expected_losses
    for ours, theirs in zip(weights, expected_weights, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("regime", REGIMES)
def test_shipped_regimes_print_the_notebooks_losses(regime, batchlab, capsys):
    losses, _ = fit(batchlab, capsys, regime)
    expected, _ = train(REGIMES[regime])
    assert losses == expected
    # Another kind of processor may add up in another order; after 1100 online steps that shows in the tenth digit.
    assert losses == pytest.approx([NOTEBOOK[regime]], rel=1e-6)


def test_manual_slicing_and_the_dataloader_agree():
    assert train(slices(10))[0] == train(loader(10))[0]


@pytest.mark.slow
def test_single_rows_and_batches_of_one_agree():
    assert train(rows)[0] == train(slices(1))[0]
