"""Event files over events seen: over steps, as Lightning logs, runs of different batch sizes could not be compared."""

import io
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.data import extract_batch_size
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams, text

from blockstep.base.errors import Interrupted
from blockstep.base.png import as_png
from blockstep.base.showing import Showing, shielded
from blockstep.base.timed_logger import TimedLogger
from blockstep.blocks.block import Block
from blockstep.tensorboard.charts import DESCRIPTIONS, PLAIN, WHOLE_EPOCHS, Charts
from blockstep.tensorboard.event_writer import EventWriter

PLUGINS = {"simple_value": "scalars", "image": "images", "histo": "histograms"}
"""TensorBoard's name of the plugin for each kind of value, for those that torch writes without it."""


class EventsSeen(Callback):
    """Count the training events that a run has seen, over all devices together."""

    def __init__(self) -> None:
        self.events = 0
        self.latest = np.zeros(0, dtype=np.int64)  # events of each step of the latest block or batch
        self._steps = self._step_events = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the count, and the events of a step."""
        return {"events": self.events, "step_events": self._step_events}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.events, self._step_events = state_dict["events"], state_dict["step_events"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start at the steps that a resumed run has already taken."""
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the events of a block or a batch."""
        if isinstance(batch, Block):
            self._step_events, self.latest = batch.batch_size, batch.rows
            self.events += len(batch.tensors[0])
        else:
            self._step_events = extract_batch_size(batch) * trainer.world_size
            self.latest = np.array([self._step_events])
            self.events += self._step_events
        self._steps = trainer.global_step

    def after(self, step: int) -> int:
        """Return the events seen after a step, counted from 0. A step that is yet to be taken counts as a full one."""
        return self.events + max(step + 1 - self._steps, 0) * self._step_events


class RunEvents(Showing, TimedLogger, TensorBoardLogger):
    """Lightning's TensorBoardLogger, written at most once a second, over events seen, with described charts.

    Args:
        folder: The run's: runs/NAME/version_N.
        seen: Counts the events.
        charts: Descriptions and columns.
        seed: The run's `seed_everything`, which Lightning does not count among the hyperparameters.
        resume_events: Of a resumed run, the events seen; later points are removed. None starts a new run.
    """

    def __init__(
        self, folder: Path, seen: EventsSeen, charts: Charts = PLAIN, seed: int = 0, resume_events: int | None = None
    ) -> None:
        # A new run purges too, since TensorBoard ignores the first purge of a run.
        purge = 0 if resume_events is None else resume_events + 1
        runs, name, version = folder.parent.parent, folder.parent.name, folder.name
        super().__init__(runs, name, version, resume_events is None, default_hp_metric=False)
        self._purge = purge
        self.seen = seen
        self.charts = charts
        self.seed = seed
        self.is_new = resume_events is None
        self.descriptions = {**DESCRIPTIONS, **charts.descriptions}
        self.at_start: dict[str, float] = {}  # values before the first step
        self.before_writing: list[Callable[[], None]] = []  # called first by `write`
        self._described: set[str] = set()
        self._points: list[tuple[str, int, float]] = []  # adding one to a file can take longer than an epoch

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """Return torch's writer, which writes in this thread."""
        if self._experiment is None:
            self._experiment = EventWriter(self.log_dir, purge_step=self._purge)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Draw a point in each metric's chart, but not of Lightning's "epoch", a straight line on this axis."""
        at = self.seen.events if step is None else self.seen.after(step)
        for tag, value in metrics.items():
            if tag in WHOLE_EPOCHS and metrics.get("epoch") == 0 and tag not in self._drawn_at_start:
                self.log_curve(tag, 0, self.at_start.get(tag, float(value)))
            if tag != "epoch":
                self.log_curve(tag, at, float(value))

    @rank_zero_only
    def log_curve(self, tag: str, at: int, value: float) -> None:
        """Draw a point in one chart, after `at` events."""
        self._points.append((tag, at, value))

    @rank_zero_only
    def log_picture(self, tag: str, pixels: NDArray[np.uint8]) -> None:
        """Add a picture, shape (height, width, 3)."""
        self.log_summary(picture_summary(tag, pixels))

    @rank_zero_only
    def log_text(self, tag: str, words: str) -> None:
        """Add a text in Markdown."""
        self.log_summary(text(tag, words), tag)

    @rank_zero_only
    def log_summary(self, summary: Summary, tag: str = "", at: int | None = None) -> None:
        """Add a summary of `torch.utils.tensorboard.summary`, which holds one value.

        Args:
            summary: The summary.
            tag: Its tag, if it differs from that of its value.
            at: The events seen; by default, those up to now.
        """
        (value,) = summary.value
        if value.tag not in self._described:  # TensorBoard reads it from a chart's first point
            self._described.add(value.tag)
            value.metadata.display_name = tag or value.tag
            value.metadata.summary_description = self._description(tag or value.tag)
            if not value.metadata.plugin_data.plugin_name:
                value.metadata.plugin_data.plugin_name = PLUGINS[value.WhichOneof("value")]
        self._writer().add_summary(summary, self.seen.events if at is None else at)

    @rank_zero_only
    @shielded
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Fill the run's row of the HPARAMS tab. Its metrics are the last points of their charts."""
        if self.is_new:
            given = vars(params) if isinstance(params, Namespace) else params
            columns = self.charts.hparam_columns({**given, "seed_everything": self.seed})
            for info in hparams(columns, dict.fromkeys(self.charts.hparam_metrics, 0.0))[:2]:
                self._writer().add_summary(info)

    @rank_zero_only
    @shielded
    def log_graph(self, model: nn.Module, input_array: Tensor | None = None) -> None:
        """Draw the module's graph if it has an `example_input_array`. Not every module can be traced."""
        if isinstance(model, LightningModule) and isinstance(model.example_input_array, Tensor):
            # torch's add_graph calls what torch deprecates, and prints an error beside raising it.
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore", DeprecationWarning)
                super().log_graph(model, model.example_input_array.to(next(model.parameters())))

    @rank_zero_only
    def write(self) -> None:
        """Write what was logged. The settings are in config.yaml."""
        super().write()
        for draw in self.before_writing:
            draw()
        for tag, at, value in self._points:
            self.log_summary(Summary(value=[Summary.Value(tag=tag, simple_value=value)]), at=at)
        self._points = []
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left. The HPARAMS tab shows only a finished run as a success."""
        if isinstance(sys.exc_info()[1], Interrupted):
            return  # the signal may have come while a record was half written
        if status == "success":
            self._writer().add_summary(hparams({}, {})[2])
        super().finalize(status)

    def _description(self, tag: str) -> str:
        return self.descriptions.get(tag) or self.descriptions.get(tag.partition("/")[0], "")

    @cached_property
    def _drawn_at_start(self) -> set[str]:
        # A run that was killed in its first epoch may have points at 0, which are not removed when it is resumed.
        if self.is_new:
            return set()
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

        files = Path(self.log_dir).glob("events.*")
        events = chain.from_iterable(EventFileLoader(str(path)).Load() for path in files)
        return {value.tag for event in events if event.step == 0 for value in event.summary.value}

    def _writer(self) -> Any:
        return self.experiment._get_file_writer()  # noqa: SLF001 - the public calls take no description


def picture_summary(tag: str, pixels: NDArray[np.uint8]) -> Summary:
    """Return a picture, shape (height, width, 3), as an event file holds it."""
    height, width, channels = pixels.shape
    picture = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=as_png(pixels))
    return Summary(value=[Summary.Value(tag=tag, image=picture)])
