"""The network, and its training and evaluation as a LightningModule."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from batchlab.evaluation import Evaluation
from blockstep.base.errors import at_least, at_most
from blockstep.base.factories import OptimizerFactory, SchedulerFactory, call_factory, class_config, make_optimizer
from blockstep.blocks.training import BlockTraining
from blockstep.checkpoints.checkpoint_file import CheckedLoading


class MLP(nn.Sequential):
    """A multilayer perceptron with ReLU between its layers and one logit at the end.

    Built as a plain sequence, so that its weights equal those of the same `Sequential` written out by hand and
    built from the same state of torch's generator.

    Args:
        in_features: Size of an input row.
        hidden: Width of each hidden layer, at least 1.
        depth: Number of hidden layers, at least 1.

    Raises:
        ValueError: If hidden or depth is smaller than 1.

    Example:
        >>> MLP(hidden=4, depth=2)(torch.zeros(3, 2)).shape
        torch.Size([3, 1])
    """

    def __init__(self, in_features: int = 2, hidden: int = 64, depth: int = 5) -> None:
        at_least(1, hidden=hidden, depth=depth)
        at_most(1000, depth=depth)  # deeper networks do not train, and take long to build
        layers: list[nn.Module] = []
        for fan_in in [in_features] + [hidden] * (depth - 1):
            layers += [nn.Linear(fan_in, hidden), nn.ReLU()]
        super().__init__(*layers, nn.Linear(hidden, 1))

    def __getitem__(self, index: slice | int) -> nn.Module:
        """Return a layer, or a slice as a plain `Sequential`: torch would build an MLP from the layers."""
        return nn.Sequential(*self)[index]


class BinaryClassifier(CheckedLoading, BlockTraining):
    """An MLP that learns p(signal | x) by binary cross-entropy (BCE).

    Validation and test report the BCE, the areas under the ROC curve and under the precision-recall curve, and,
    where the batches bring the exact posterior along, the regret: how far the BCE lies above the Bayes limit.

    Args:
        hidden: Width of each hidden layer. The default is the notebook's.
        depth: Number of hidden layers. The default is the notebook's.
        optimizer: A class of torch.optim with its arguments; in Python, the class or a `functools.partial` of it.
            The default, plain SGD with a learning rate of 0.01 a step, is the notebook's.
        lr_scheduler: A class of torch.optim.lr_scheduler with its arguments, stepped once an epoch;
            `ReduceLROnPlateau` watches val/loss. Off by default, as in the notebook.
        engine: How a block's steps are taken: eager is PyTorch, step by step; compiled is a program built from the
            same step, which is faster and equal in about six digits. The default equals the plain loop in
            every digit.

    Raises:
        ValueError: If engine is neither, hidden or depth is smaller than 1, depth is larger than 1000, or the learning
            rate is not a positive number.
        TypeError: If a factory given in Python is neither a class nor a partial of one.
    """

    def __init__(
        self,
        hidden: int = 64,
        depth: int = 5,
        optimizer: OptimizerFactory = partial(SGD, lr=0.01),  # noqa: B008 - a partial is never changed
        lr_scheduler: SchedulerFactory | None = None,
        engine: Literal["eager", "compiled"] = "eager",
    ) -> None:
        super().__init__()
        self.network = MLP(2, hidden, depth)
        self.example_input_array = torch.zeros(1, 2)  # for TensorBoard's graph
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self._callbacks: list[Callback] = []
        if engine == "compiled":
            from blockstep.compiled.engine import CompiledEngine

            self.engine = compiled = CompiledEngine()
            self._callbacks.append(compiled)
        elif engine != "eager":
            raise ValueError(f"engine must be 'eager' or 'compiled'. Got {engine!r} instead.")
        # Built here to be checked and named, and again in configure_optimizers.
        probe = call_factory("optimizer", optimizer, self.network.parameters())
        _check_learning_rate(probe)
        scheduler = lr_scheduler and call_factory("lr_scheduler", lr_scheduler, probe)
        self.save_hyperparameters(
            {
                "hidden": hidden,
                "depth": depth,
                "optimizer": class_config(optimizer, type(probe)),
                "lr_scheduler": lr_scheduler and class_config(lr_scheduler, type(scheduler)),
                "engine": engine,
            }
        )
        self.evaluation = Evaluation()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (n, 1) of the events x (n, 2)."""
        logits: Tensor = self.network(x)
        return logits

    def batch_loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the mean BCE of a batch of x (n, 2) and t (n, 1), in nats.

        Sigmoid and BCE are computed one after the other, as in the notebook: computed from the logits in one go, the
        loss differs in its last digit. It is finite nevertheless, since torch clamps the logarithms at -100. But if
        the logit is wrong by more than about 17, where float32's sigmoid is 0 or 1, the loss is up to 100 and has no
        gradient. Evaluation uses the logits, and is accurate everywhere.
        """
        x, t = batch
        logits = self(x)
        try:
            return functional.binary_cross_entropy(torch.sigmoid(logits), t)
        except RuntimeError:  # torch refuses NaN here; NanGuard reports it
            return functional.binary_cross_entropy_with_logits(logits, t)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Score a batch of x (n, 2), t (n, 1) and, if it is known, the exact posterior (n, 1)."""
        self.evaluation.update(self.forward_rows(batch[0]), *batch[1:])

    test_step = validation_step

    def on_validation_epoch_start(self) -> None:
        """Start anew, also after an evaluation that was left."""
        self.evaluation.reset()

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        """Log val/loss, val/auroc, val/average_precision and, if the posterior is known, val/regret."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the same as in validation, under test/."""
        self._log_scores("test")

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> Tensor:
        """Return p(signal | x), shape (n, 1), of a batch whose first tensor is x (n, 2)."""
        return torch.sigmoid(self.forward_rows(batch[0]))

    def configure_callbacks(self) -> list[Callback]:
        """Return the compiled engine, which builds its program before the first epoch."""
        return self._callbacks

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, if there is one, its scheduler."""
        return make_optimizer(self.parameters(), self.optimizer, self.lr_scheduler)

    def _log_scores(self, stage: str) -> None:
        self.evaluation.regret_alone = self.wanted_scores == frozenset({f"{stage}/regret"})
        self.log_scores({f"{stage}/{name}": score for name, score in self.evaluation.compute().items()})


def _check_learning_rate(optimizer: Optimizer) -> None:
    """Raise ValueError unless every learning rate is a positive, finite number. torch accepts 0 and nan."""
    for group in optimizer.param_groups:
        lr = float(group["lr"])
        if not (math.isfinite(lr) and lr > 0):
            raise ValueError(f"lr must be a positive, finite number. Got {lr} instead.")
