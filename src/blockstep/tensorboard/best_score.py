"""The best score so far: without it, the HPARAMS tab could only show the last one, which is not that of best.ckpt."""

from math import isnan
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from blockstep.base.showing import Showing
from blockstep.tensorboard.charts import AXIS
from blockstep.tensorboard.event_files import RunEvents


def best_tag(tag: str) -> str:
    """Return the tag of the best value of a metric.

    Example:
        >>> best_tag("val/loss")
        'val/best_loss'
    """
    group, slash, name = tag.rpartition("/")
    return f"{group}{slash}best_{name}"


class BestScore(Showing, Callback):
    """Draw the best value so far of a validation metric. If the metric is not logged, it is that of "val/loss".

    Args:
        logger: Draws the curve.
        monitor: Tag of the metric.
        mode: Whether smaller ("min") or larger values ("max") are better.
    """

    def __init__(self, logger: RunEvents, monitor: str, mode: Literal["min", "max"]) -> None:
        self._logger = logger
        self._better = {"val/loss": min, monitor: min if mode == "min" else max}
        self._best: dict[str, float] = {}
        for tag in self._better:
            logger.descriptions.setdefault(best_tag(tag), f"The best {tag} so far. {AXIS}")

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return dict(self._best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with it."""
        self._best = dict(state_dict)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, except before the first step, whose state is never saved."""
        known = [tag for tag in reversed(self._better) if tag in trainer.callback_metrics]
        if trainer.sanity_checking or not known:
            return
        tag, better = known[0], self._better[known[0]]
        value = float(trainer.callback_metrics[tag])
        if not isnan(value):
            self._best[tag] = better(value, self._best.get(tag, value))
        if tag in self._best:
            self._logger.log_curve(best_tag(tag), self._logger.seen.events, self._best[tag])
