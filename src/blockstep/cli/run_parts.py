"""The loggers and callbacks of a run: without this module, a run would save and log nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from blockstep.base.errors import BadInputError
from blockstep.checkpoints.best_checkpoint import BestCheckpoint
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.checkpoints.exact_resume import ExactResume
from blockstep.checkpoints.last_checkpoint import LastCheckpoint, SaveEndFirst
from blockstep.checkpoints.provenance import Provenance
from blockstep.cli.application import Application
from blockstep.cli.extras import CURVES
from blockstep.runs.csv_logger import MetricsTable
from blockstep.runs.graceful_stop import GracefulStop
from blockstep.runs.run_folder import RunFolder
from blockstep.tensorboard.best_score import BestScore
from blockstep.tensorboard.charts import Charts
from blockstep.tensorboard.dashboard import Dashboard
from blockstep.tensorboard.event_files import EventsSeen, RunEvents
from blockstep.tensorboard.first_loss import FirstLoss


def make_loggers(folder: RunFolder, charts: Charts, seed: int, ckpt_path: str | None) -> tuple[RunEvents, MetricsTable]:
    """Make the loggers of a run. What was logged after the checkpoint of a resumed run is removed.

    Args:
        folder: The run's folder.
        charts: The charts in TensorBoard.
        seed: The run's `seed_everything`.
        ckpt_path: The checkpoint of a resumed run.
    """
    steps = events = None
    if ckpt_path is not None and not folder.is_new:
        checkpoint = read_checkpoint(Path(ckpt_path))
        seen = checkpoint["callbacks"].get("EventsSeen")
        if seen is None:
            raise BadInputError(f"ckpt_path must hold callbacks.EventsSeen. Got {ckpt_path!r}, which does not.")
        steps, events = checkpoint["global_step"], seen["events"]
    return RunEvents(folder.path, EventsSeen(), charts, seed, events), MetricsTable(folder.path, steps)


def logging_callbacks(events: RunEvents, application: Application, config: str) -> list[Callback]:
    """Make what fills the event files beside the metrics; the count of events first, since the others read it.

    Args:
        events: The run's logger.
        application: Says which metric is watched.
        config: The run's config, as YAML.
    """
    best = BestScore(events, application.monitor, application.mode)
    return [events.seen, FirstLoss(events), best, *(curve(events) for curve in CURVES), Dashboard(events, config)]


def checkpoint_callbacks(
    folder: Path, application: Application, config: str, settings: Mapping[str, Mapping[str, Any]]
) -> list[Callback]:
    """Make what saves and resumes a run; the last checkpoint after the best, so that it records the current best.

    The first of these belongs before all other callbacks, and the others after them.

    Args:
        folder: The folder of the run's checkpoints.
        application: Says which metric is watched.
        config: The run's config, as YAML.
        settings: The arguments of the model and the data.
    """
    best = BestCheckpoint(folder, application.monitor, application.mode)
    last = LastCheckpoint(folder / "last.ckpt")
    resumed = (Provenance(config, settings), ExactResume())
    return [SaveEndFirst(last), *resumed, best, last, GracefulStop(last, application.name)]
