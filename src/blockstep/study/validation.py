"""The module's own validation between two steps: without it, a metric could be seen at a Trainer's intervals only."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from blockstep.blocks.row_loader import RowLoader
from blockstep.blocks.training import BlockTraining


class Validation(Callback):
    """Run the validation of the module that is being trained, between two steps.

    `Trainer.val_check_interval` is one number, so that Lightning's own validations cannot be at log-spaced steps, and
    there is no public way to ask for one. So `_run_loop` does what `_TrainingEpochLoop.on_advance_end` does (Lightning
    2.6), and tests/blockstep/study/test_validation.py notices if one of its names changes.

    That loop takes longer than the arithmetic of a small network. If it can be left out, because all rows are one batch
    on the CPU and the first validation has logged nothing by `self.log`, the module's hooks are called directly.
    """

    def __init__(self) -> None:
        self._batches: list[Any] = []
        self._is_plain = False

    def validate(self, trainer: Trainer, module: LightningModule) -> Mapping[str, Tensor]:
        """Validate. Random numbers that are drawn are put back: the training is the same with and without it.

        Args:
            trainer: In `fit`, in a hook between two steps.
            module: The module that is being trained.

        Returns:
            The metrics by tag, those that were logged before among them.
        """
        drawn = torch.get_rng_state()
        trainer.validating = True
        try:
            if self._is_plain:
                self._call_hooks(module)
            else:
                self._run_loop(trainer)
        finally:
            trainer.training = True
            torch.set_rng_state(drawn)
        return trainer.callback_metrics

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first batch."""
        if len(self._batches) <= 1:
            self._batches.append(batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out whether the module's hooks are all that matters of the loop."""
        logged = trainer.fit_loop.epoch_loop.val_loop._results  # noqa: SLF001 - no public name for what `self.log` logged
        in_rows = isinstance(trainer.val_dataloaders, RowLoader) and isinstance(pl_module, BlockTraining)
        alone = trainer.world_size == 1 and trainer.precision == "32-true"
        self._is_plain = in_rows and alone and len(self._batches) == 1 and pl_module.device.type == "cpu" and not logged
        if not self._is_plain:
            self._batches = []

    def _run_loop(self, trainer: Trainer) -> None:
        connector = trainer._logger_connector  # noqa: SLF001 - no public name, as said above
        first = connector._first_loop_iter  # noqa: SLF001
        try:
            trainer.fit_loop.epoch_loop.val_loop.run()
        finally:
            connector._first_loop_iter = first  # noqa: SLF001

    def _call_hooks(self, module: LightningModule) -> None:
        (batch,) = self._batches
        training = [part for part in module.modules() if part.training]
        module.eval()
        with torch.no_grad():
            module.on_validation_start()
            module.on_validation_epoch_start()
            module.on_validation_batch_start(batch, 0)
            module.on_validation_batch_end(module.validation_step(batch, 0), batch, 0)
            module.on_validation_epoch_end()
            module.on_validation_end()
        for part in training:
            part.training = True
