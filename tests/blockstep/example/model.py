"""A classifier with one hidden layer."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from blockstep.base.factories import OptimizerFactory, SchedulerFactory, call_factory, class_config
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
        if engine == "compiled":
            from blockstep.compiled.engine import CompiledEngine

            self.engine = CompiledEngine()
        probe = call_factory("optimizer", optimizer, self.parameters())
        scheduler = lr_scheduler and call_factory("lr_scheduler", lr_scheduler, probe)
        named = {
            "optimizer": class_config(optimizer, type(probe)),
            "lr_scheduler": lr_scheduler and class_config(lr_scheduler, type(scheduler)),
        }
        self.save_hyperparameters({"width": width, "engine": engine, **named})

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 1) of x (n, 2)."""
        return self.network(x)

    def batch_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The mean binary cross-entropy of a batch of x (n, 2) and t (n, 1)."""
        return nn.functional.binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log val/loss."""
        self.log("val/loss", self.batch_loss(batch), batch_size=len(batch[0]), sync_dist=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log test/loss."""
        self.log("test/loss", self.batch_loss(batch), batch_size=len(batch[0]), sync_dist=True)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """p(t = 1 | x), shape (n, 1)."""
        return self(batch[0]).sigmoid()

    def configure_callbacks(self) -> list:
        """The compiled engine, which builds its program before the first epoch."""
        return [self.engine] if self.hparams.engine == "compiled" else []

    def configure_optimizers(self) -> dict:
        """The optimizer, and its scheduler if there is one."""
        optimizer = self.optimizer(self.parameters())
        if self.lr_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = self.lr_scheduler(optimizer)
        monitor = {"monitor": "val/loss"} if isinstance(scheduler, ReduceLROnPlateau) else {}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **monitor}}
