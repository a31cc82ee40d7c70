"""Dashboard: what a run tells TensorBoard once, beside its curves and pictures."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from batchlab.charts import LAYOUT, regime
from batchlab.event_files import RunEvents
from batchlab.probabilities import probabilities


class Dashboard(Callback):
    """Writes what the run is, in words and as its config; how charts are grouped; and its last precision-recall curve.

    Args:
        logger: Writes it down.
        config: The run's config, as YAML.
    """

    def __init__(self, logger: RunEvents, config: str) -> None:
        self._logger = logger
        self._config = config

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The validation before the first step, from which the curves of all runs set out."""
        self._logger.log_metrics({tag: float(value) for tag, value in trainer.callback_metrics.items()})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Words, config, groups of charts."""
        if self._logger.is_new:
            self._logger.log_text("run/about", about(trainer))
            self._logger.log_text("run/config", "".join(f"    {line}\n" for line in self._config.splitlines()))
            self._logger.experiment.add_custom_scalars(LAYOUT)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The curve of the validation events."""
        if not trainer.is_global_zero or not trainer.enable_validation:
            return
        # A run that goes on in an epoch which is not validated has no loader yet.
        loader = trainer.val_dataloaders or trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        pairs = [(batch[1], probabilities(pl_module, batch[0])) for batch in loader]
        t, predicted = (torch.cat(column).cpu().float() for column in zip(*pairs, strict=True))
        if torch.isfinite(predicted).all():  # on_nan=ignore may have trained on
            self._logger.log_pr_curve("val/pr_curve", t, predicted)


def about(trainer: Trainer) -> str:
    """A run in a sentence, as Markdown."""
    loader: Any = trainer.train_dataloader
    events, size = len(loader.dataset), loader.batch_size
    return (
        f"**{regime(size, events).capitalize()}**: {events:,} training events in batches of {size:,}, which makes "
        f"{trainer.num_training_batches:,} step(s) an epoch; {torch.get_num_threads()} thread(s) on "
        f"{type(trainer.accelerator).__name__.removesuffix('Accelerator')}."
    )
