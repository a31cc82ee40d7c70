"""A classifier with one hidden layer."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import SGD

from blockstep.base.factories import OptimizerFactory, SchedulerFactory, call_factory, class_config, make_optimizer
from blockstep.blocks.training import BlockTraining
from blockstep.checkpoints.checkpoint_file import CheckedLoading


class Classifier(CheckedLoading, BlockTraining):
    """Learns p(t = 1 | x) by binary cross-entropy.

    Args:
        width: Size of the hidden layer. The default is enough for a straight line.
        optimizer: A class of torch.optim with its arguments. The default is plain SGD.
        lr_scheduler: A class of torch.optim.lr_scheduler with its arguments, stepped once an epoch. Off by default.
        engine: How a block's steps are taken: eager is PyTorch, step by step; compiled is a program built from it.
    """

    def __init__(
        self,
        width: int = 8,
        optimizer: OptimizerFactory = partial(SGD, lr=0.1),  # noqa: B008 - a partial is never changed
        lr_scheduler: SchedulerFactory | None = None,
        engine: Literal["eager", "compiled"] = "eager",
    ) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
        self.example_input_array = torch.zeros(1, 2)
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self._callbacks: list[Callback] = []
        if engine == "compiled":
            from blockstep.compiled.engine import CompiledEngine

            self.engine = compiled = CompiledEngine()
            self._callbacks.append(compiled)
        probe = call_factory("optimizer", optimizer, self.parameters())
        scheduler = lr_scheduler and call_factory("lr_scheduler", lr_scheduler, probe)
        named = {
            "optimizer": class_config(optimizer, type(probe)),
            "lr_scheduler": lr_scheduler and class_config(lr_scheduler, type(scheduler)),
        }
        self.save_hyperparameters({"width": width, "engine": engine, **named})

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (n, 1) of x (n, 2)."""
        logits: Tensor = self.network(x)
        return logits

    def batch_loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the mean binary cross-entropy of a batch of x (n, 2) and t (n, 1)."""
        return nn.functional.binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Log val/loss."""
        self.log("val/loss", self.batch_loss(batch), batch_size=len(batch[0]), sync_dist=True)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Log test/loss."""
        self.log("test/loss", self.batch_loss(batch), batch_size=len(batch[0]), sync_dist=True)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """Return p(t = 1 | x), shape (n, 1)."""
        return torch.sigmoid(self(batch[0]))

    def configure_callbacks(self) -> list[Callback]:
        """Return the compiled engine, which builds its program before the first epoch."""
        return self._callbacks

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, if there is one, its scheduler."""
        return make_optimizer(self.parameters(), self.optimizer, self.lr_scheduler)
