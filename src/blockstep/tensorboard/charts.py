"""What an application tells TensorBoard about its charts: without it, they are bare names in alphabetical order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AXIS = "The x axis counts the training events seen, so that runs of all batch sizes line up."
FRAMES = "The slider counts the training events seen."

DESCRIPTIONS = {
    "train/loss": f"Mean loss of an epoch's batches, each before its update; at 0, of the first batch alone. {AXIS}",
    "train/last_batch_loss": f"Loss of an epoch's last batch before its update: the printed one. {AXIS}",
    "val/loss": f"Loss of the validation events. {AXIS}",
    "time/epoch_sec": f"Seconds that the training of an epoch took, without validation and figures. {AXIS}",
    "run/about": "What the run is, in a sentence.",
    "run/config": "Every setting of the run; the same as its config.yaml.",
}
"""Descriptions of the charts that every application has."""

WHOLE_EPOCHS = ("train/loss", "time/epoch_sec")
"""Values of whole epochs. Their curves have a point at 0 too, so that a single epoch is a line, not a dot: the value
before the first step if there is one (`RunEvents.at_start`), or that of the first epoch."""


def plain_hyperparameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that are numbers, texts or truth values, and the names of classes."""
    classes = {key: value.get("class_path") for key, value in params.items() if isinstance(value, dict)}
    return {key: value for key, value in {**params, **classes}.items() if isinstance(value, bool | int | float | str)}


@dataclass(frozen=True)
class Charts:
    """An application's charts in TensorBoard.

    Attributes:
        descriptions: A line for each tag or, for all tags of a group, for the part before the slash. TensorBoard shows
            it at the chart's (i).
        groups: The CUSTOM SCALARS tab: charts by group, each with patterns of the tags that it draws together.
        pinned: Tags of the curves that `view` shows first.
        hparam_metrics: Tags whose last values the HPARAMS tab shows.
        hparam_columns: Makes the HPARAMS tab's columns of the hyperparameters of model and data. TensorBoard shows the
            first five in alphabetical order, and numbers with five significant digits: 1100 as "1100.0".
        regime: Names a training by its batch size and number of events, for the run's description.
    """

    descriptions: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    pinned: Sequence[str] = ("val/loss", "train/loss", "time/epoch_sec")
    hparam_metrics: Sequence[str] = ("val/best_loss", "val/loss", "time/epoch_sec")
    hparam_columns: Callable[[Mapping[str, Any]], dict[str, Any]] = plain_hyperparameters
    regime: Callable[[int, int], str] = lambda batch_size, events: "training"  # noqa: ARG005


PLAIN = Charts()
"""The charts of an application that declares none."""
