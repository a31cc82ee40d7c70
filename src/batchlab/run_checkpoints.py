"""What a run keeps in its checkpoints folder, and the callbacks that see to it."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from batchlab.graceful_stop import GracefulStop
from batchlab.last_checkpoint import LastCheckpoint
from batchlab.origin import Origin
from batchlab.resume import ExactResume


class BestCheckpoint(ModelCheckpoint):
    """Keeps the state of the lowest regret.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "best", monitor="val/regret", enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on comparing with the best so far, if it is here: the run may have been moved since it was saved."""
        best = Path(str(self.dirpath), "best.ckpt")
        if best.is_file() and state_dict["best_model_score"] is not None:
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(best))
            scores = {str(best): state_dict["best_model_score"]}
            state_dict = {**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": scores}
        super().load_state_dict(state_dict)
        self.current_score = state_dict["current_score"]


def checkpoint_callbacks(folder: Path, config: str, *, validated: bool) -> list[Callback]:
    """Callbacks that keep the newest state and, where epochs are validated, that of the lowest regret.

    Args:
        folder: The run's.
        config: The run's, as YAML.
        validated: Whether there is a regret to choose by.
    """
    last = LastCheckpoint(folder / "checkpoints" / "last.ckpt")
    best = [BestCheckpoint(folder / "checkpoints")] if validated else []
    # The last state comes after the best, so that what it says of that is so.
    return [Origin(config), ExactResume(), *best, last, GracefulStop(last)]
