"""What a run is, in words and as its config: without it, TensorBoard would show curves without their settings."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from blockstep.base.showing import Showing
from blockstep.blocks.loader import num_events
from blockstep.tensorboard.charts import Charts
from blockstep.tensorboard.event_files import RunEvents


class Dashboard(Showing, Callback):
    """Write the run's description, its config, the groups of charts, and the validation before the first step.

    Args:
        logger: Where they are written.
        config: The run's config, as YAML.
    """

    def __init__(self, logger: RunEvents, config: str) -> None:
        self._logger = logger
        self._config = config

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the metrics of the validation before the first step, at which all curves start."""
        self._logger.log_metrics({tag: float(value) for tag, value in trainer.callback_metrics.items()})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the texts and the groups of charts."""
        if self._logger.is_new:
            self._logger.log_text("run/about", about(trainer, self._logger.charts))
            self._logger.log_text("run/config", "".join(f"    {line}\n" for line in self._config.splitlines()))
            if self._logger.charts.groups:
                self._logger.experiment.add_custom_scalars(self._logger.charts.groups)


def about(trainer: Trainer, charts: Charts) -> str:
    """Describe a run in a sentence, as Markdown."""
    loader: Any = trainer.train_dataloader
    events, size = num_events(loader), getattr(loader, "batch_size", None)
    what, name = f"{trainer.num_training_batches:,} step(s) an epoch", "training"
    if events is not None and size is not None:
        what = f"{events:,} training events in batches of {size:,}, which makes {what}"
        name = charts.regime(size, events)
    device = type(trainer.accelerator).__name__.removesuffix("Accelerator")
    return f"**{name.capitalize()}**: {what}; {torch.get_num_threads()} thread(s) on {device}."
