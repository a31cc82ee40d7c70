"""The weights that runs end with, of any application."""

import csv
from pathlib import Path

import torch


def fit(command, cls, *words, name):
    """Weights, logged rows and folder of a run."""
    assert command("fit", *words, f"--name={name}", "--data.num_validation=200") == 0
    folder = max(Path(f"runs/{name}").iterdir(), key=lambda path: int(path.name.removeprefix("version_")))
    model = cls.load_from_checkpoint(folder / "checkpoints" / "last.ckpt", weights_only=True)
    with (folder / "metrics.csv").open(newline="") as file:
        return list(model.parameters()), list(csv.DictReader(file)), folder


def flat(weights):
    """All weights in one vector."""
    return torch.cat([weight.detach().flatten() for weight in weights])


def assert_close(ours, theirs, cls, seed=0):
    """The runs end in the same place, beside the way that they have come.

    What each step computes is judged in test_compiled_block. Here the question is whether the right steps are taken: on
    the right events, in their order, at the right rate. A step too many, too few or another moves the weights by much
    more than a hundredth of the way; how far rounding leads depends on the processor, and stays far below.
    """
    torch.manual_seed(seed)
    start = flat(cls().parameters())
    assert (flat(ours) - flat(theirs)).norm() < 0.01 * (flat(theirs) - start).norm()
