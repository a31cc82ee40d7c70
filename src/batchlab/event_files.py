"""Event files for TensorBoard, in which runs of all batch sizes line up: the x axis is the training events seen."""

import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn
from torch.utils.tensorboard.summary import histogram, hparams, image, pr_curve, text

from batchlab.block_loader import Block
from batchlab.charts import HPARAM_METRICS, WHOLE_EPOCHS, description, hparam_columns
from batchlab.loggers import ByTheClock

PLUGINS = {"simple_value": "scalars", "image": "images", "histo": "histograms"}
"""TensorBoard's names of what shows the older kinds of charts, by the field that holds their values."""


class EventsSeen(Callback):
    """Counts the training events that a run has seen, over all devices together."""

    def __init__(self) -> None:
        self.events = 0
        self.latest = np.zeros(0, dtype=np.int64)  # events of each step of the latest block or batch
        self._steps = self._step_events = 0

    def state_dict(self) -> dict[str, Any]:
        """The count, and what a step adds to it."""
        return {"events": self.events, "step_events": self._step_events}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.events, self._step_events = state_dict["events"], state_dict["step_events"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes note of the steps that lie behind a run which goes on."""
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the events of a block or a batch."""
        if isinstance(batch, Block):
            self._step_events, self.latest = batch.batch_size, batch.rows
            self.events += len(batch.tensors[0])
        else:
            self._step_events = len(batch[0]) * trainer.world_size
            self.latest = np.array([self._step_events])
            self.events += self._step_events
        self._steps = trainer.global_step

    def after(self, step: int) -> int:
        """The events seen after a step, counted from 0; one that has not been taken yet is taken for a full one."""
        return self.events + max(step + 1 - self._steps, 0) * self._step_events


class RunEvents(ByTheClock, TensorBoardLogger):
    """Lightning's TensorBoardLogger, by the clock, over events seen, with a description of every chart.

    Args:
        folder: The run's: runs/NAME/version_N.
        seen: Counts the events.
        seed: The run's `seed_everything`, which Lightning does not count among the hyperparameters.
        resume_events: Of a run that goes on, what it had seen: later points are taken back.
    """

    def __init__(self, folder: Path, seen: EventsSeen, seed: int = 0, resume_events: int | None = None) -> None:
        # A start is always marked: TensorBoard takes back what lies behind the second mark of a run, not the first.
        purge = 0 if resume_events is None else resume_events + 1
        runs, name, version = folder.parent.parent, folder.parent.name, folder.name
        super().__init__(runs, name, version, resume_events is None, default_hp_metric=False, purge_step=purge)
        self.seen = seen
        self.seed = seed
        self.is_new = resume_events is None
        self._described: set[str] = set()
        self._points: list[tuple[str, int, float]] = []  # an epoch may be shorter than putting one into a file
        self.before_writing: list[Callable[[], None]] = []  # whoever has something to draw by then

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Draws a point in each metric's chart; Lightning's "epoch" is left out, a straight line on this axis."""
        at = self.seen.events if step is None else self.seen.after(step)
        for tag, value in metrics.items():
            if tag in WHOLE_EPOCHS and metrics.get("epoch") == 0 and tag not in self._drawn_at_start:
                self.log_curve(tag, 0, float(value))
            if tag != "epoch":
                self.log_curve(tag, at, float(value))

    @rank_zero_only
    def log_curve(self, tag: str, at: int, value: float) -> None:
        """Draws a point in one chart, when it is time to write."""
        self._points.append((tag, at, value))

    @rank_zero_only
    def log_picture(self, tag: str, pixels: NDArray[np.uint8]) -> None:
        """Adds a frame (height, width, 3) to the pictures of a tag."""
        self._add(image(tag, pixels, dataformats="HWC"), self.seen.events)

    @rank_zero_only
    def log_text(self, tag: str, words: str) -> None:
        """Adds a text in Markdown."""
        self._add(text(tag, words), self.seen.events, tag)

    @rank_zero_only
    def log_histogram(self, tag: str, values: Tensor) -> None:
        """Draws how values are distributed, if they are finite."""
        if torch.isfinite(values).all():
            bins = np.array(self.experiment.default_bins)
            self._add(histogram(tag, values.float().numpy(force=True), bins), self.seen.events)

    @rank_zero_only
    def log_pr_curve(self, tag: str, t: Tensor, probabilities: Tensor) -> None:
        """Draws the precision-recall curve of labels (n, 1) and probabilities (n, 1)."""
        self._add(pr_curve(tag, t.numpy(), probabilities.numpy()), self.seen.events)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Fills the run's row of the HPARAMS tab; its metrics are the last points of their charts."""
        if self.is_new:
            given = vars(params) if isinstance(params, Namespace) else params
            columns = hparam_columns({**given, "seed_everything": self.seed})
            for info in hparams(columns, dict.fromkeys(HPARAM_METRICS, 0.0))[:2]:
                self._writer().add_summary(info)

    @rank_zero_only
    def log_graph(self, model: nn.Module, input_array: Tensor | None = None) -> None:
        """Draws the module, if it says what goes in (`example_input_array`)."""
        if isinstance(model, LightningModule) and isinstance(model.example_input_array, Tensor):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch's add_graph calls what torch deprecates
                super().log_graph(model, model.example_input_array.to(next(model.parameters())))

    @rank_zero_only
    def write(self) -> None:
        """Writes what was logged; the settings are in config.yaml."""
        self._started_writing()
        for draw in self.before_writing:
            draw()
        for tag, at, value in self._points:
            self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value)]), at)
        self._points = []
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes what is left; only a run that has come to its end is called a success in the HPARAMS tab."""
        if status == "success":
            self._writer().add_summary(hparams({}, {})[2])
        super().finalize(status)

    def _add(self, summary: Summary, at: int, tag: str = "") -> None:
        (value,) = summary.value
        if value.tag not in self._described:  # TensorBoard reads it from a chart's first point
            self._described.add(value.tag)
            value.metadata.display_name = tag or value.tag
            value.metadata.summary_description = description(tag or value.tag)
            if not value.metadata.plugin_data.plugin_name:  # torch names it for the newer kinds of charts alone
                value.metadata.plugin_data.plugin_name = PLUGINS[value.WhichOneof("value")]
        self._writer().add_summary(summary, at)

    @cached_property
    def _drawn_at_start(self) -> set[str]:
        """Charts in which a run that was killed in its first epoch has a point at 0 already: it is not taken back."""
        if self.is_new:
            return set()
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

        files = Path(self.log_dir).glob("events.*")
        events = chain.from_iterable(EventFileLoader(str(path)).Load() for path in files)
        return {value.tag for event in events if event.step == 0 for value in event.summary.value}

    def _writer(self) -> Any:
        return self.experiment._get_file_writer()  # noqa: SLF001 - the public calls take no description
