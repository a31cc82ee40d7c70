"""What a module in training says about points, without a trace left in it."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from batchlab import plots


def probabilities(module: LightningModule, x: Tensor) -> Tensor:
    """The module's probabilities, in eval mode, which is undone afterwards.

    Args:
        module: Its `predict_step` takes a batch whose first tensor is x (n, 2) and returns probabilities (n, 1).
        x: Points (n, 2), of any float type and on any device.

    Returns:
        Shape (n, 1), as the module computes them.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    with torch.no_grad():
        predicted: Tensor = module.predict_step((x.to(next(module.parameters())),), 0)
    for part, mode in modes.items():
        part.training = mode
    return predicted


def mesh_probabilities(module: LightningModule) -> plots.Array:
    """`probabilities` at the points of `plots.mesh()`, in double precision."""
    array: plots.Array = probabilities(module, torch.from_numpy(plots.mesh())).double().cpu().numpy()
    return array
