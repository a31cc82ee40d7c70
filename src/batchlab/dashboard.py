"""Dashboard: what a run tells TensorBoard once, beside its curves and pictures."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from batchlab.charts import LAYOUT, regime
from batchlab.event_files import RunEvents


class Dashboard(Callback):
    """Writes what the run is, in words and as its config; how charts are grouped; and its last precision-recall curve.

    Args:
        config: The run's config, as YAML.
    """

    def __init__(self, config: str) -> None:
        self._config = config

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Words, config, groups of charts."""
        for logger in _new(trainer):
            logger.experiment.add_text("run/about", about(trainer), 0)
            logger.experiment.add_text("run/config", "".join(f"    {line}\n" for line in self._config.splitlines()), 0)
            logger.experiment.add_custom_scalars(LAYOUT)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The curve of the validation events."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, RunEvents)]
        if not loggers or not trainer.is_global_zero or not trainer.val_dataloaders:
            return
        t, probabilities = _predictions(pl_module, trainer.val_dataloaders)
        for logger in loggers if torch.isfinite(probabilities).all() else []:  # on_nan=ignore may have trained on
            logger.experiment.add_pr_curve("val/pr_curve", t, probabilities, logger.seen.events)


def about(trainer: Trainer) -> str:
    """A run in a sentence, as Markdown."""
    loader: Any = trainer.train_dataloader
    events, size = len(loader.dataset), loader.batch_size
    return (
        f"**{regime(size, events).capitalize()}**: {events:,} training events in batches of {size:,}, which makes "
        f"{trainer.num_training_batches:,} step(s) an epoch; {torch.get_num_threads()} thread(s) on "
        f"{type(trainer.accelerator).__name__.removesuffix('Accelerator')}."
    )


def _new(trainer: Trainer) -> list[RunEvents]:
    mine = [logger for logger in trainer.loggers if isinstance(logger, RunEvents)]
    return [logger for logger in mine if logger.is_new and trainer.is_global_zero]


def _predictions(module: LightningModule, loader: Any) -> tuple[Tensor, Tensor]:
    was_training = module.training
    module.eval()
    like = next(module.parameters())
    with torch.no_grad():
        pairs = [(batch[1], module.predict_step([part.to(like) for part in batch], 0)) for batch in loader]
    module.train(was_training)
    t, probabilities = (torch.cat(column).cpu().float() for column in zip(*pairs, strict=True))
    return t, probabilities
