"""All rows of an evaluation: without it, areas under curves would be means over batches, which they are not."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Evaluation(Metric):
    """The outputs and the labels of all rows of an evaluation, over all devices together.

    Attributes:
        latest: What `compute` has returned last; None before.
    """

    full_state_update = False  # a batch does not depend on those before it
    outputs: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("outputs", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.latest: tuple[Tensor, Tensor] | None = None

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add the rows of a batch; those of half precision in single precision.

        Args:
            outputs: The model's, shape (n, outputs).
            labels: Shape (n, 1).
        """
        for name, values in {"outputs": outputs, "labels": labels}.items():
            getattr(self, name).append(values if values.dtype == torch.float64 else values.float())

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the outputs and the labels of all rows."""
        self.latest = dim_zero_cat(self.outputs), dim_zero_cat(self.labels)
        return self.latest
