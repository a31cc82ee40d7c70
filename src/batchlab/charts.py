"""What TensorBoard is told about a run's charts: in words, in columns, and how they are grouped."""

from typing import Any

AXIS = "The x axis counts the training events seen, so that runs of all batch sizes line up."
FRAMES = "The slider counts the training events seen."

DESCRIPTIONS = {
    "train/loss": f"Mean binary cross-entropy of an epoch's batches, in nats, each before its update. {AXIS}",
    "train/step_loss": f"Mean loss of the steps since the previous point, in nats, at some 200 places a run. {AXIS}",
    "train/last_batch_loss": f"Loss of an epoch's last batch before its update, in nats: the printed one. {AXIS}",
    "val/loss": f"Binary cross-entropy of the validation events, in nats; for the default ones 0.168 at best. {AXIS}",
    "val/regret": f"How far the expected loss lies above that of the exact posterior, in nats; 0 is perfect. {AXIS}",
    "val/auroc": f"Area under the ROC curve of the validation events, from 0.5 (guessing) to 1. {AXIS}",
    "val/average_precision": f"Area under the precision-recall curve of the validation events. {AXIS}",
    "val/pr_curve": "Precision over recall of the validation events, at the end of training.",
    "time/epoch_sec": f"Seconds that the training of an epoch took, without validation and figures. {AXIS}",
    "decision/contour": f"p(signal | x) that the network gives; one colour scale for all runs. {FRAMES}",
    "decision/exact_posterior": "The exact p(signal | x): the answer that the network is after. Drawn once.",
    "training_events": "The training events alone. Drawn once.",
    "run/about": "What the run is, in a sentence.",
    "run/config": "Every setting of the run; the same as its config.yaml.",
    "weights": f"How a layer's weights are distributed. {AXIS}",
    "gradients": f"How the gradients of the last batch before this point are distributed. {AXIS}",
}
"""One line a chart or group of charts, as TensorBoard shows it behind its (i)."""

WHOLE_EPOCHS = ("train/loss", "time/epoch_sec")
"""Values of whole epochs: the first is drawn from the epoch's start on, so that an only epoch is a line, not a dot."""

LAYOUT = {
    "quality": {name: ["Multiline", [f"val/{name}$"]] for name in ("regret", "auroc", "average_precision")},
    "loss": {
        "training and validation": ["Multiline", ["train/loss$", "val/loss$"]],
        "within the epochs": ["Multiline", ["train/step_loss$", "train/last_batch_loss$"]],
    },
    "time": {"seconds an epoch": ["Multiline", ["time/epoch_sec$"]]},
}
"""The CUSTOM SCALARS tab: charts by group, each with patterns of the tags that it draws together."""

HPARAM_METRICS = ("val/regret", "val/auroc", "val/average_precision", "time/epoch_sec")
"""The HPARAMS tab's metrics: the last point of each."""


def hparam_columns(params: dict[str, Any]) -> dict[str, Any]:
    """The HPARAMS tab's columns of a run.

    Args:
        params: The hyperparameters of model and data, as Lightning hands them to loggers.

    Returns:
        Plain values by the column's name; what the hyperparameters lack is left out.
    """
    optimizer = params.get("optimizer", {"class_path": None, "init_args": {}})
    events = params.get("num_signal", 0) + params.get("num_background", 0)
    size = params.get("batch_size") or events
    columns = {  # TensorBoard shows five at first, in the alphabet's order
        "batch size": (min(size, events) if events else size) or None,
        "learning rate": optimizer["init_args"].get("lr"),
        "width": params.get("hidden"),
        "depth": params.get("depth"),
        "seed": params.get("seed_everything"),
        "seed of the data": params.get("seed"),
        "optimizer": optimizer["class_path"] and optimizer["class_path"].rpartition(".")[2],
    }
    return {name: value for name, value in columns.items() if value is not None}


def description(tag: str) -> str:
    """A chart's, or that of its group, the part before the slash; empty if there is none."""
    return DESCRIPTIONS.get(tag) or DESCRIPTIONS.get(tag.partition("/")[0], "")


def regime(batch_size: int, events: int) -> str:
    """What training with this batch size on so many events is called."""
    return "batch learning" if batch_size >= events else "online learning" if batch_size == 1 else "mini-batch learning"
