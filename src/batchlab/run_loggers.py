"""What a run is logged by, and the callbacks that see to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from batchlab.checkpoint import read_checkpoint
from batchlab.dashboard import Dashboard
from batchlab.event_files import EventsSeen, RunEvents
from batchlab.loggers import RunTable
from batchlab.loss_curve import LossCurve


def run_loggers(folder: Path, seed: int, resumed: Path | None = None) -> list[Logger]:
    """The loggers of a run.

    Args:
        folder: The run's.
        seed: Its `seed_everything`.
        resumed: The checkpoint from which the run goes on in this folder: what was logged after it is taken back.
    """
    steps = events = None
    if resumed is not None:
        checkpoint = read_checkpoint(resumed)
        steps, events = checkpoint["global_step"], checkpoint["callbacks"]["EventsSeen"]["events"]
    return [RunEvents(folder, EventsSeen(), seed, events), RunTable(folder / "metrics.csv", steps)]


def tensorboard_callbacks(loggers: Sequence[Logger], config: str) -> Iterator[Callback]:
    """What fills the event files beside the metrics; the count of events first, since the others read it.

    Args:
        loggers: The run's.
        config: The run's, as YAML.
    """
    for logger in loggers:
        if isinstance(logger, RunEvents):
            yield from (logger.seen, LossCurve(logger), Dashboard(logger, config))
