"""What a training has learned of its table: without it, new rows would be standardised by numbers of their own."""

from dataclasses import dataclass

import numpy as np

from blockstep.tables.scaling import Scaling


@dataclass(frozen=True)
class Learned:
    """What a training has learned of its table, by which every other table is read. A checkpoint holds it.

    Attributes:
        path: The table's file.
        sha256: The hash of its content.
        label: The name of the label's column.
        features: The names of the features' columns.
        mean: The mean of each feature in the training rows.
        deviation: Its standard deviation there, 0 for a constant column.
        classes: The names of the classes, in the order of their numbers; none if the label is a number.
        label_mean: The mean of a label that is a number, in the training rows.
        label_deviation: Its standard deviation there.
    """

    path: str
    sha256: str
    label: str
    features: list[str]
    mean: list[float]
    deviation: list[float]
    classes: list[str]
    label_mean: float = 0.0
    label_deviation: float = 1.0

    @property
    def scaling(self) -> Scaling:
        """The features' means and deviations."""
        return Scaling(np.array(self.mean), np.array(self.deviation))

    @property
    def label_scaling(self) -> Scaling:
        """The label's mean and deviation."""
        return Scaling(np.array([self.label_mean]), np.array([self.label_deviation]))

    @property
    def constant(self) -> list[str]:
        """The features that have a single value in the training rows."""
        return [name for name, deviation in zip(self.features, self.deviation, strict=True) if deviation == 0]

    def names_of_outputs(self, outputs: int) -> list[str]:
        """Return the names of a model's outputs: the probability of each class, or the predicted label."""
        if len(self.classes) == outputs:
            return [f"p_{name}" for name in self.classes]
        if len(self.classes) == outputs + 1 == 2:  # noqa: PLR2004 - one probability of two
            return [f"p_{self.classes[1]}"]
        return [f"predicted_{n + 1}" for n in range(outputs)] if outputs > 1 else [f"predicted_{self.label}"]
