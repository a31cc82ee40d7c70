"""Regressor: an MLP that learns a number."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam

from blockstep.base.errors import BadInputError
from blockstep.base.factories import OptimizerFactory, SchedulerFactory
from blockstep.tables.figures import regression_figures
from blockstep.tables.learned import Learned
from blockstep.tables.supervised import Engine, Supervised, check_number, mlp


class Regressor(Supervised):
    """An MLP that learns a number by the mean squared error.

    The network's output is the standardised label, as the data have it; predictions, and the scores "rmse" and "mae",
    the root of the mean squared error and the mean absolute error, are in the label's own unit. "r2" is the fraction of
    the label's variance that is explained, and "loss" the mean squared error of the standardised label.

    Args:
        in_features: Number of feature columns.
        width: Width of each inner layer.
        depth: Number of inner layers; 0 is linear regression.
        optimizer: A class of torch.optim with its arguments. The default suits standardised features.
        lr_scheduler: A class of torch.optim.lr_scheduler with its arguments, stepped once an epoch;
            `ReduceLROnPlateau` watches val/loss. Off by default.
        engine: How a block's steps are taken: eager is PyTorch, step by step; compiled is a program built from it.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        in_features: int,
        width: int = 64,
        depth: int = 2,
        optimizer: OptimizerFactory = partial(Adam, lr=0.001),  # noqa: B008 - a partial is never changed
        lr_scheduler: SchedulerFactory | None = None,
        engine: Engine = "eager",
    ) -> None:
        settings = {"in_features": in_features, "width": width, "depth": depth}
        super().__init__(mlp(in_features, width, depth, 1), optimizer, lr_scheduler, engine, settings)
        self.in_features = in_features
        self.label_mean, self.label_deviation = 0.0, 1.0  # no buffers, which the compiled engine refuses

    def batch_loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the mean squared error of a batch of x (n, features) and t (n, 1), which is standardised."""
        x, t = batch
        return functional.mse_loss(self(x), t)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> Tensor:
        """Return the label (n, 1), in its own unit, for a batch whose first tensor is x (n, features)."""
        return self.in_unit(self.forward_rows(batch[0]))

    def in_unit(self, standardised: Tensor) -> Tensor:
        """Return standardised labels in the label's own unit."""
        return standardised * self.label_deviation + self.label_mean

    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return loss, rmse, mae and r2 of outputs (n, 1) and labels (n, 1); r2 is nan if all labels are equal."""
        loss = functional.mse_loss(outputs, labels)
        return {
            "loss": loss,
            "rmse": loss.sqrt() * self.label_deviation,
            "mae": functional.l1_loss(outputs, labels) * self.label_deviation,
            "r2": 1 - loss / labels.var(correction=0),
        }

    def figures(self, outputs: Tensor, labels: Tensor) -> dict[str, Figure]:
        """Return the predicted label over the true one."""
        return regression_figures(self.in_unit(outputs), self.in_unit(labels))

    def check_table(self, learned: Learned) -> None:
        """Check the number of features, and take the label's unit."""
        if learned.classes:
            raise BadInputError(
                "a Regressor needs a label that is a number: set data.target to number, or take a Classifier. "
                "Got the target class."
            )
        check_number("in_features", self.in_features, len(learned.features), learned.features)
        self.label_mean, self.label_deviation = learned.label_mean, learned.label_deviation

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the label's unit."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["label_unit"] = [self.label_mean, self.label_deviation]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the label's unit."""
        super().on_load_checkpoint(checkpoint)
        self.label_mean, self.label_deviation = checkpoint["label_unit"]
