"""best.ckpt: without it, only the newest weights of a run would be kept, which may have overfitted."""

from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from blockstep.checkpoints.checkpoint_file import BEST


class BestCheckpoint(ModelCheckpoint):
    """Keep the state with the best value of a validation metric.

    If the metric is not logged, "val/loss" is watched; if that is not logged either, nothing is saved.

    Args:
        folder: The folder for best.ckpt.
        monitor: Tag of the metric.
        mode: Whether smaller ("min") or larger values ("max") are better.
    """

    def __init__(self, folder: Path, monitor: str = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(folder, BEST.removesuffix(self.FILE_EXTENSION), enable_version_counter=False)
        self._modes = {monitor: mode}
        self._modes.setdefault("val/loss", "min")

    @property
    def state_key(self) -> str:
        """The key of this callback's state in checkpoints. Lightning's own names the metric, which is chosen later."""
        return "BestCheckpoint"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if the metric has improved."""
        if self._metric_is_known(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if the metric has improved in a validation within the epoch."""
        if self._metric_is_known(trainer):
            super().on_validation_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and the metric that it belongs to."""
        return super().state_dict() | {"mode": self.mode}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best value so far if best.ckpt exists; the run may have been moved since."""
        best = Path(str(self.dirpath), BEST)
        if best.is_file() and state_dict["best_model_score"] is not None:
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(best))
            scores = {str(best): state_dict["best_model_score"]}
            state_dict = {**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": scores}
        self.monitor, self.mode = state_dict["monitor"], state_dict["mode"]
        super().load_state_dict(state_dict)
        self.current_score = state_dict["current_score"]

    def _metric_is_known(self, trainer: Trainer) -> bool:
        if self.monitor is None:
            logged = [tag for tag in self._modes if tag in trainer.callback_metrics]
            if not logged:
                return False
            self.monitor, self.mode = logged[0], self._modes[logged[0]]
            self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
        return self.monitor in trainer.callback_metrics  # not if the run ends before its first validation
