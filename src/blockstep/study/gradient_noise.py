"""The noise of a gradient: without it, the noise scale could only be guessed from the losses of a training."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from blockstep.blocks.block import Batch
from blockstep.blocks.training import BlockTraining

NUMBERS_TOGETHER = 2**21
"""Numbers of the gradients that are in memory at the same time: 8 MiB in float32."""


class Noise(NamedTuple):
    """The noise of the gradient after some steps.

    Attributes:
        step: Number of steps taken.
        trace: tr Σ, the trace of the covariance of the gradients of single events.
        squared_gradient: |G|², the squared length of their mean. If it is estimated, it may be negative.
    """

    step: int
    trace: float
    squared_gradient: float

    @property
    def scale(self) -> float:
        """The simple noise scale, tr Σ / |G|²; infinite if |G|² is not positive."""
        return math.inf if self.squared_gradient <= 0 else self.trace / self.squared_gradient


def gradient_noise(module: BlockTraining, events: Batch, population: int) -> tuple[float, float]:
    """Return tr Σ and |G|² of the gradients of single events, at the module's weights.

    If the events are all that are trained on, both are exact. If they were drawn from these without replacement, both
    are unbiased: the estimators of McCandlish et al. 2018, eqs. A.2 and A.3, with B_small = 1, averaged over all n
    events, and B_big = n, with the correction for a finite population of N (Cochran 1977, section 2.6). So

        s² = n / (n - 1) (mean |g|² - |mean g|²),  tr Σ = (N - 1) / N s²,  |G|² = |mean g|² - (1/n - 1/N) s².

    Args:
        module: The module. Its `batch_loss` must be a pure function of the batch and the parameters.
        events: The events, n rows in each tensor.
        population: N, the number of events that are trained on.
    """
    mean_square, square_of_mean = _moments(module, events)
    n = len(events[0])
    spread = n / max(n - 1, 1) * (mean_square - square_of_mean)
    return (population - 1) / population * spread, square_of_mean - (1 / n - 1 / population) * spread


class _Loss(nn.Module):
    """A loss as a module that contains the trained module, so that `functional_call` can replace its parameters."""

    def __init__(self, module: BlockTraining) -> None:
        super().__init__()
        self.module = module

    def forward(self, *batch: Tensor) -> Tensor:
        return self.module.batch_loss(batch)


def _moments(module: BlockTraining, events: Batch) -> tuple[float, float]:
    """Return mean |g|² and |mean g|²."""
    loss = _Loss(module)
    trained = {name: p.detach() for name, p in loss.named_parameters() if p.requires_grad}
    buffers = {name: buffer.clone() for name, buffer in loss.named_buffers()}  # a forward pass may change them

    def loss_of_event(parameters: dict[str, Tensor], *event: Tensor) -> Tensor:
        batch = tuple(tensor[None] for tensor in event)
        value: Tensor = functional_call(loss, (parameters, buffers), batch)
        return value

    gradients_of = vmap(grad(loss_of_event), in_dims=(None, *[0] * len(events)))
    rows = max(NUMBERS_TOGETHER // sum(p.numel() for p in trained.values()), 1)
    squares, sums = 0.0, {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in trained.items()}
    for part in zip(*(tensor.split(rows) for tensor in events), strict=True):
        for name, gradients in gradients_of(trained, *part).items():
            squares += float(torch.linalg.vector_norm(gradients)) ** 2
            sums[name] += gradients.sum(0).cpu()
    n = len(events[0])
    return squares / n, sum(float((total / n).square().sum()) for total in sums.values())
