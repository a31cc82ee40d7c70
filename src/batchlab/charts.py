"""The lesson's charts in TensorBoard: descriptions, groups, columns, and the names of the regimes."""

from collections.abc import Mapping
from typing import Any

from blockstep.tensorboard.charts import AXIS, FRAMES, Charts

SHARED = "Drawn once, for all runs in this folder that share it."

DESCRIPTIONS = {
    "train/loss": "Mean binary cross-entropy of an epoch's batches, in nats, each before its update; at 0, that of the "
    f"first batch alone. {AXIS}",
    "train/last_batch_loss": f"Loss of an epoch's last batch before its update, in nats: the printed one. {AXIS}",
    "val/loss": "Binary cross-entropy of the validation events, in nats; the exact posterior's is 0.174 for the "
    f"default ones. {AXIS}",
    "val/regret": f"How far the expected loss lies above that of the exact posterior, in nats; 0 is perfect. {AXIS}",
    "val/auroc": f"Area under the ROC curve of the validation events, from 0.5 (guessing) to 1. {AXIS}",
    "val/average_precision": f"Area under the precision-recall curve of the validation events. {AXIS}",
    "val/pr_curve": "Precision over recall of the validation events, at the end of training. Thresholds are chosen by "
    "rank, though TensorBoard labels them as values: at its threshold 0.9, about a tenth of the events, those of the "
    "highest p(signal | x), are called signal.",
    "decision/contour": "p(signal | x) that the network gives; the strip marks its range between 0 and 1. While that "
    f"is narrow, the shape may be that of the random start, which means nothing. {FRAMES}",
    "decision/exact_posterior": f"The exact p(signal | x), which the network is to learn. {SHARED}",
    "training_events": f"The training events alone. {SHARED}",
}

GROUPS = {
    "quality": {name: ["Multiline", [f"val/{name}$"]] for name in ("regret", "auroc", "average_precision")},
    "loss": {
        "training and validation": ["Multiline", ["train/loss$", "val/loss$"]],
        "within the epochs": ["Multiline", ["train/step_loss$", "train/last_batch_loss$"]],
    },
    "time": {"seconds an epoch": ["Multiline", ["time/epoch_sec$"]]},
}


def hparam_columns(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the HPARAMS tab's columns of a run; what the hyperparameters lack is left out.

    Args:
        params: The hyperparameters of model and data.
    """
    optimizer = params.get("optimizer", {"class_path": None, "init_args": {}})
    events = params.get("num_signal", 0) + params.get("num_background", 0)
    size = params.get("batch_size") or events
    columns = {
        "batch size": (min(size, events) if events else size) or None,
        "learning rate": optimizer["init_args"].get("lr"),
        "width": params.get("hidden"),
        "depth": params.get("depth"),
        "seed": params.get("seed_everything"),
        "seed of the data": params.get("seed"),
        "optimizer": optimizer["class_path"] and optimizer["class_path"].rpartition(".")[2],
    }
    return {name: _shown(value) for name, value in columns.items() if value is not None}


def _shown(value: Any) -> Any:
    """Return a whole number as a text, since TensorBoard shows the number 1100 as "1100.0".

    The spaces before it, which a browser does not show, let texts sort as numbers do: 64 before 1100.
    """
    return f"{value:10}" if isinstance(value, int) else value


def regime(batch_size: int, events: int) -> str:
    """Return what training with this batch size on so many events is called."""
    return "batch learning" if batch_size >= events else "online learning" if batch_size == 1 else "mini-batch learning"


CHARTS = Charts(
    descriptions=DESCRIPTIONS,
    groups=GROUPS,
    pinned=("val/regret", "train/loss", "time/epoch_sec"),
    hparam_metrics=("val/best_regret", "val/regret", "val/auroc", "val/average_precision", "time/epoch_sec"),
    hparam_columns=hparam_columns,
    regime=regime,
)
