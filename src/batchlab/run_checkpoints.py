"""What a run keeps in its checkpoints folder, and the callbacks that see to it."""

from pathlib import Path

from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from batchlab.graceful_stop import GracefulStop
from batchlab.last_checkpoint import LastCheckpoint
from batchlab.origin import Origin
from batchlab.resume import ExactResume


def checkpoint_callbacks(folder: Path, config: str, *, validated: bool) -> list[Callback]:
    """Callbacks that keep the newest state and, where epochs are validated, that of the lowest regret.

    Args:
        folder: The run's.
        config: The run's, as YAML.
        validated: Whether there is a regret to choose by.
    """
    last = LastCheckpoint(folder / "checkpoints" / "last.ckpt")
    best = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/regret", enable_version_counter=False)
    return [Origin(config), GracefulStop(last), ExactResume(), last, *([best] if validated else [])]
