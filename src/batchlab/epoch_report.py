"""ContourReport: the machinery's report of each epoch, and pictures of what the model has learned."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from batchlab import plots
from batchlab.levels import Array, Scale
from batchlab.precision_recall import pr_curve_by_rank
from blockstep.base.errors import at_least
from blockstep.runs.epoch_report import EpochReport
from blockstep.runs.run_mark import marked_at
from blockstep.tensorboard.event_files import RunEvents
from blockstep.tensorboard.shared_pictures import log_shared_picture

DRAWN_EVENTS = 2000
"""The most events that are drawn: more of them would hide the contour."""


LogPicture = Callable[[RunEvents, str, plots.Pixels], None]


class ContourReport(EpochReport):
    """Print a line for each epoch, log its time, and draw the decision contour.

    Pictures are drawn if the events have two coordinates and the model predicts one probability for each.

    Args:
        print_every_n_epochs: Epochs from one printed line to the next. By default each epoch is printed, as in the
            notebook, on a terminal at most twenty a second; the last one always is.
        figure_every_n_epochs: Epochs from one contour to the next; the last epoch is always drawn. A contour takes
            longer than a mini-batch epoch, and TensorBoard shows ten frames unless it is told
            --samples_per_plugin=images=1000, as batchlab view tells it; so the default null draws after
            epochs 1, 2, 4, 8 and so on.
        figure_style: Look of the figures: the notebook's red and blue, or colours and markers that colour-blind
            readers tell apart.
        figure_scale: Whether the ten levels of a contour span its own range, which a strip from 0 to 1 beside it
            marks, or are common to all: ten from 0 to 1, on which the first epochs may be of one colour.
        save_png: Whether to write the figures as PNG files into the run's folder too, or, without one, beside the
            first logger's files, where none is replaced. Off by default, since TensorBoard keeps them.

    Raises:
        ValueError: If a number of epochs is smaller than 1.
    """

    def __init__(
        self,
        print_every_n_epochs: int = 1,
        figure_every_n_epochs: int | None = None,
        figure_style: plots.Style = "notebook",
        figure_scale: Scale = "own",
        save_png: bool = False,
    ) -> None:
        super().__init__(print_every_n_epochs)
        at_least(1, figure_every_n_epochs=1 if figure_every_n_epochs is None else figure_every_n_epochs)
        self.figure_every_n_epochs = figure_every_n_epochs
        self.figure_style = figure_style
        self.figure_scale = figure_scale
        self.save_png = save_png
        self._contours: plots.ContourFigure | None = None
        self._drawn = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what does not change, once for all runs: the events alone, and the exact posterior if it is known."""
        self._contours = None
        events = _drawable_events(trainer, pl_module)
        if events is None:
            return
        self._contours = plots.ContourFigure(*events, self.figure_style, self.figure_scale)
        if any(isinstance(log, RunEvents) and not log.is_new for log in trainer.loggers):
            return
        figure = plots.events_figure(*events, "Training events", self.figure_style)
        self._show(trainer, "training_events", plots.pixels(figure), log_shared_picture)
        exact = getattr(trainer.datamodule, "posterior", None)  # type: ignore[attr-defined] # set by Trainer.fit
        if exact is not None:
            picture = self._contours.draw(exact(plots.mesh()), "The exact posterior")
            self._show(trainer, "decision/exact_posterior", picture, log_shared_picture)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch, and draw the contour if it is due."""
        super().on_train_epoch_end(trainer, pl_module)
        self._drawn = False
        if self._figure_is_due(trainer.current_epoch + 1):
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last epoch if it was not due, and draw the precision-recall curve of the validation events."""
        super().on_fit_end(trainer, pl_module)
        if not self._drawn:
            self._draw(trainer, pl_module)
        if self._contours is not None and trainer.is_global_zero and trainer.enable_validation:
            self._draw_precision_and_recall(trainer, pl_module)

    def _figure_is_due(self, epochs: int) -> bool:
        if self.figure_every_n_epochs is None:
            return epochs.bit_count() == 1  # a power of two
        return epochs % self.figure_every_n_epochs == 0

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drawn = True
        if self._contours is None:
            return
        steps = trainer.global_step
        seen = [logger.seen.events for logger in trainer.loggers if isinstance(logger, RunEvents)]
        title = f"After {steps:,} step{'s' * (steps != 1)}" + "".join(f", {events:,} events" for events in seen[:1])
        self._show(trainer, "decision/contour", self._contours.draw(mesh_probabilities(pl_module), title))

    def _draw_precision_and_recall(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that is resumed in an epoch without validation has no loader yet.
        data: Any = trainer.datamodule  # type: ignore[attr-defined] # set by Trainer.fit
        loader = trainer.val_dataloaders or data.val_dataloader()
        pairs = [(batch[1], probabilities(pl_module, batch[0])) for batch in loader]
        t, predicted = (torch.cat(column).cpu().double() for column in zip(*pairs, strict=True))
        for logger in trainer.loggers:
            if isinstance(logger, RunEvents) and torch.isfinite(predicted).all():  # not so after on_nan=ignore
                logger.log_summary(pr_curve_by_rank("val/pr_curve", t.flatten().numpy(), predicted.flatten().numpy()))

    def _show(self, trainer: Trainer, tag: str, picture: plots.Pixels, log: LogPicture = RunEvents.log_picture) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunEvents):
                log(logger, tag, picture)
            elif isinstance(logger, TensorBoardLogger):  # one of the user's own
                logger.experiment.add_image(tag, picture, trainer.global_step, dataformats="HWC")
        if self.save_png and trainer.is_global_zero:
            _write_png(trainer, f"{tag.replace('/', '_')}_step_{trainer.global_step}.png", picture)


def _write_png(trainer: Trainer, name: str, picture: plots.Pixels) -> None:
    """Write a picture into the run's folder, whichever loggers it has, or else where its first logger writes.

    Raises:
        FileExistsError: If there is such a file which may be another run's.
    """
    run = Path(trainer.default_root_dir)
    path = Path(run if marked_at(run) else trainer.log_dir or run, "figures", name)
    if path.exists() and not marked_at(run):
        raise FileExistsError(f"{path} is there already: give the logger a folder of its own for each run.")
    plots.write_picture(path, picture)


def probabilities(module: LightningModule, x: Tensor) -> Tensor:
    """Return a module's probabilities in eval mode; afterwards, restore the mode of all of its parts.

    Args:
        module: Its `predict_step` takes a batch whose first tensor is x (n, 2) and returns probabilities (n, 1).
        x: Points (n, 2), of any float type and on any device.

    Returns:
        Shape (n, 1), as the module computes them.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    with torch.no_grad():
        predicted: Tensor = module.predict_step((x.to(next(module.parameters())),), 0)
    for part, mode in modes.items():
        part.training = mode
    return predicted


def mesh_probabilities(module: LightningModule) -> Array:
    """Return a module's probabilities at the points of `plots.mesh()`, in double precision."""
    array: Array = probabilities(module, torch.from_numpy(plots.mesh())).double().cpu().numpy()
    return array


def draw_model(module: LightningModule) -> plots.Pixels | None:
    """Draw what a module in training has learned, with the first of its training events, for the report of a study.

    Returns:
        An RGB image, shape (500, 600, 3); None for another kind of data or model.
    """
    events = _drawable_events(module.trainer, module)
    if events is None:
        return None
    return _contours_over(*(array.tobytes() for array in events)).draw(mesh_probabilities(module))


@lru_cache(maxsize=1)
def _contours_over(x: bytes, t: bytes) -> plots.ContourFigure:
    """Return the figure of these events, since it takes longer to make than to draw in."""
    return plots.ContourFigure(
        np.frombuffer(x, np.float32).reshape(-1, 2), np.frombuffer(t, np.float32)[:, None], "accessible"
    )


def _drawable_events(trainer: Trainer, module: LightningModule) -> tuple[Array, Array] | None:
    """The events that are drawn, x (n, 2) and t (n, 1); None for another kind of data or model."""
    loader: Any = trainer.train_dataloader
    tensors: tuple[Tensor, ...] = getattr(getattr(loader, "dataset", None), "tensors", ())
    if [tuple(tensor.shape[1:]) for tensor in tensors] != [(2,), (1,)]:
        return None
    x, t = (tensor[:DRAWN_EVENTS] for tensor in tensors)
    predicts = type(module).predict_step is not LightningModule.predict_step
    if not (predicts and ((t == 0) | (t == 1)).all() and probabilities(module, x).shape == t.shape):
        return None
    return x.numpy(), t.numpy()
