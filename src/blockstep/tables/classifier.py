"""Classifier: an MLP that learns the probabilities of K classes."""

from collections.abc import Sequence
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from blockstep.base.errors import BadInputError, at_least
from blockstep.base.factories import OptimizerFactory, SchedulerFactory
from blockstep.tables.curves import Curves
from blockstep.tables.figures import classification_figures
from blockstep.tables.learned import Learned
from blockstep.tables.supervised import Engine, Supervised, check_number, mlp


class Classifier(Supervised):
    """An MLP that learns the probabilities of K classes by cross-entropy.

    Validation and test report the cross-entropy "loss", in nats; the accuracy; the F1 score, and the areas under the
    ROC curve and the precision-recall curve of each class against all others, as means over the classes (macro).

    Args:
        in_features: Number of feature columns.
        classes: Number of classes.
        width: Width of each inner layer.
        depth: Number of inner layers; 0 is logistic regression.
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
        classes: int,
        width: int = 64,
        depth: int = 2,
        optimizer: OptimizerFactory = partial(Adam, lr=0.001),  # noqa: B008 - a partial is never changed
        lr_scheduler: SchedulerFactory | None = None,
        engine: Engine = "eager",
    ) -> None:
        at_least(2, classes=classes)
        settings = {"in_features": in_features, "classes": classes, "width": width, "depth": depth}
        super().__init__(mlp(in_features, width, depth, classes), optimizer, lr_scheduler, engine, settings)
        self.in_features, self.classes = in_features, classes
        self.names = [str(number) for number in range(classes)]

    def batch_loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the mean cross-entropy of a batch of x (n, features) and t (n, 1), the numbers of the classes."""
        x, t = batch
        # As floats rather than as indices, so that the compiled engine can take it too.
        chosen = torch.cat([t == number for number in range(self.classes)], dim=1).to(x.dtype)
        return functional.cross_entropy(self(x), chosen)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> Tensor:
        """Return the probabilities (n, classes) of a batch whose first tensor is x (n, features)."""
        return self.forward_rows(batch[0]).softmax(dim=1)

    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return loss, accuracy, f1, auroc and average_precision of logits (n, classes) and labels (n, 1)."""
        t = labels.flatten().long()
        curves = Curves(outputs.softmax(dim=1), t)
        return {
            "loss": functional.cross_entropy(outputs, t),
            "accuracy": multiclass_accuracy(outputs, t, self.classes, average="micro"),
            "f1": multiclass_f1_score(outputs, t, self.classes, average="macro"),
            "auroc": torch.tensor(curves.auroc()),
            "average_precision": torch.tensor(curves.average_precision()),
        }

    def figures(self, outputs: Tensor, labels: Tensor) -> dict[str, Figure]:
        """Return ROC and precision-recall curves, a reliability diagram, and the scores by class."""
        return classification_figures(Curves(outputs.softmax(dim=1), labels.flatten().long()), self.names)

    def check_table(self, learned: Learned) -> None:
        """Check the numbers of features and classes, and take the names of the classes."""
        if not learned.classes:
            raise BadInputError(
                "a Classifier needs a label that is a class: set data.target to class, or take a Regressor. "
                "Got the target number."
            )
        check_number("in_features", self.in_features, len(learned.features), learned.features)
        check_number("classes", self.classes, len(learned.classes), learned.classes)
        self.names = learned.classes
