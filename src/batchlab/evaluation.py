"""How good a classifier is: its loss, its distance from the exact answer, and the areas under two curves."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat


class Evaluation(Metric):
    """The scores of all events of an evaluation, over all devices together.

    `compute` returns the mean BCE "loss", in nats; the areas "auroc" and "average_precision" under the ROC curve and
    the precision-recall curve; and the "regret" if the exact posterior is known.

    Attributes:
        regret_alone: Whether to compute the regret alone, where it can be: the rest takes longer.
    """

    full_state_update = False  # a batch's scores do not depend on those before it
    logits: list[Tensor]
    labels: list[Tensor]
    posteriors: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.regret_alone = False
        for name in ("logits", "labels", "posteriors"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, posterior: Tensor | None = None) -> None:
        """Add the events of a batch.

        Args:
            logits: The classifier's, shape (n, 1). Those of half precision are scored in single precision.
            labels: 0 or 1, shape (n, 1).
            posterior: The exact p(signal | x), shape (n, 1); for all batches or none.
        """
        given = {"logits": logits, "labels": labels} | ({} if posterior is None else {"posteriors": posterior})
        for name, values in given.items():
            getattr(self, name).append(values if values.dtype == torch.float64 else values.float())

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name."""
        logits = dim_zero_cat(self.logits)
        scores = {"regret": regret(logits, dim_zero_cat(self.posteriors))} if len(self.posteriors) else {}
        if self.regret_alone and scores:
            return scores
        labels = dim_zero_cat(self.labels)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        return {"loss": loss, **scores, **_areas(torch.sigmoid(logits).flatten(), labels.flatten().int())}


def regret(logits: Tensor, posterior: Tensor) -> Tensor:
    """Return how far the expected BCE of a classifier lies above the Bayes limit, the BCE of the exact posterior.

    The labels' expectation is taken exactly, which leaves the mean Kullback-Leibler divergence from the posterior
    to the classifier: BCE(posterior, p) - H(posterior) (Murphy, Probabilistic Machine Learning: An Introduction,
    section 6.2). It is never negative, 0 only for the exact answer, and has far less noise than the difference of
    two losses over drawn labels.

    Args:
        logits: The classifier's, shape (n, 1).
        posterior: The exact p(signal | x), shape (n, 1).

    Returns:
        The mean over the events, in nats.

    Example:
        >>> regret(torch.zeros(1, 1), torch.full((1, 1), 0.5)).item()
        0.0
    """
    entropy = functional.binary_cross_entropy(posterior, posterior)
    return functional.binary_cross_entropy_with_logits(logits, posterior) - entropy


def _areas(probabilities: Tensor, labels: Tensor) -> dict[str, Tensor]:
    if not probabilities.isnan().any():  # NaN has no place in an order
        # Each of torchmetrics' functions sorts the events, in a third of the time if they are sorted already.
        order = torch.from_numpy(np.argsort(-probabilities.cpu().numpy())).to(labels.device)
        probabilities, labels = probabilities[order], labels[order]
    return {
        "auroc": binary_auroc(probabilities, labels),
        "average_precision": binary_average_precision(probabilities, labels, validate_args=False),  # as just checked
    }
