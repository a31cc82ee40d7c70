"""EpochReport: times each epoch's training, prints it, and draws what the model has learned so far."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor

from batchlab import plots
from batchlab.checks import at_least
from batchlab.event_files import RunEvents
from batchlab.files import write_figure
from batchlab.probabilities import mesh_probabilities

DRAWN_EVENTS = 2000
"""At most so many events are drawn: more of them would hide the contour below."""


class Stopwatch:
    """Seconds gone by while it runs; it can be paused and resumed at will."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Stops, at 0."""
        self._counted = 0.0
        self._since: float | None = None

    def resume(self) -> None:
        """Runs on; does nothing if it runs."""
        if self._since is None:
            self._since = time.perf_counter()

    def pause(self) -> None:
        """Stands still; does nothing if it stands."""
        if self._since is not None:
            self._counted += time.perf_counter() - self._since
            self._since = None

    @property
    def seconds(self) -> float:
        """What was counted up to the last pause."""
        return self._counted


class EpochReport(Callback):
    """Prints a line an epoch, logs its time, and draws the decision contour.

    The time is that of training alone: loading batches and taking steps. Validation, checkpoints, logging and
    drawing are outside it. The printed loss is the last batch's, before its update; the epoch's mean is train/loss.

    Args:
        print_every_n_epochs: Epochs from one printed line to the next. The default prints each epoch, as the
            notebook does; the last one is always printed.
        figure_every_n_epochs: Epochs from one contour to the next; the last epoch is always drawn. A contour takes
            longer than a mini-batch epoch, and TensorBoard shows ten frames unless it is told
            --samples_per_plugin=images=1000, as batchlab view tells it; so the default null draws after epochs 1,
            2, 4, 8 and so on.
        figure_style: Look of the figures: the notebook's red and blue, or colours and markers that colour-blind
            readers tell apart.
        save_png: Whether to write the figures as PNG files into the run's folder too. Off by default, since
            TensorBoard keeps them.

    Raises:
        ValueError: If a number of epochs is smaller than 1.
    """

    def __init__(
        self,
        print_every_n_epochs: int = 1,
        figure_every_n_epochs: int | None = None,
        figure_style: plots.Style = "notebook",
        save_png: bool = False,
    ) -> None:
        at_least(1, print_every_n_epochs=print_every_n_epochs)
        at_least(1, figure_every_n_epochs=1 if figure_every_n_epochs is None else figure_every_n_epochs)
        self.print_every_n_epochs = print_every_n_epochs
        self.figure_every_n_epochs = figure_every_n_epochs
        self.figure_style = figure_style
        self.save_png = save_png
        self._stopwatch = Stopwatch()
        self._last_loss: Tensor | None = None
        self._line = ""
        self._printed = self._drawn = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws what does not change, once a run: the events alone, and the right answer where it is known."""
        if any(isinstance(logger, RunEvents) and not logger.is_new for logger in trainer.loggers):
            return
        x, t = _events(trainer)
        self._show(trainer, "training_events", plots.events_figure(x, t, "Training events", self.figure_style))
        exact = getattr(trainer.datamodule, "posterior", None)  # type: ignore[attr-defined] # set by Trainer.fit
        if exact is not None:
            figure = plots.contour_figure(exact(plots.mesh()), x, t, "The exact posterior", self.figure_style)
            self._show(trainer, "decision/exact_posterior", figure)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._stopwatch.reset()
        self._stopwatch.resume()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Takes the clock up again after a checkpoint."""
        self._stopwatch.resume()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the loss, as a tensor: reading its value is left to the epoch's end."""
        self._last_loss = outputs["loss"]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock."""
        self._stopwatch.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the clock up again, if training goes on."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stopwatch.resume()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Stops the clock: called when a checkpoint is about to be written."""
        self._stopwatch.pause()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the epoch's time and last loss, and reports where it is due."""
        self._stopwatch.pause()
        loss = float("nan") if self._last_loss is None else self._last_loss.item()
        epoch, seconds = trainer.current_epoch, self._stopwatch.seconds
        # To the loggers at once: `self.log`, which also keeps metrics for callbacks to watch, takes a third of a
        # millisecond for each.
        for logger in trainer.loggers:
            logged = {"epoch": epoch, "time/epoch_sec": seconds, "train/last_batch_loss": loss}
            logger.log_metrics(logged, trainer.global_step - 1)
        self._line = f"epoch = {epoch}, time = {seconds: .3f} sec, loss = {loss}"
        self._printed = self._drawn = False
        if (epoch + 1) % self.print_every_n_epochs == 0:
            self._print(pl_module)
        if self._figure_is_due(epoch + 1):
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports the last epoch if it was not due."""
        if not self._printed:
            self._print(pl_module)
        if not self._drawn:
            self._draw(trainer, pl_module)

    def _figure_is_due(self, epochs: int) -> bool:
        if self.figure_every_n_epochs is None:
            return epochs.bit_count() == 1  # a power of two
        return epochs % self.figure_every_n_epochs == 0

    def _print(self, pl_module: LightningModule) -> None:
        pl_module.print(self._line)
        self._printed = True

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = [logger.seen.events for logger in trainer.loggers if isinstance(logger, RunEvents)]
        title = f"After {trainer.global_step:,} steps" + "".join(f", {events:,} events" for events in seen[:1])
        probabilities = mesh_probabilities(pl_module)
        figure = plots.contour_figure(probabilities, *_events(trainer), title, self.figure_style)
        self._show(trainer, "decision/contour", figure)
        self._drawn = True

    def _show(self, trainer: Trainer, tag: str, figure: Figure) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunEvents):
                logger.log_picture(tag, plots.pixels(figure))
            elif isinstance(logger, TensorBoardLogger):  # one of the user's own
                logger.experiment.add_image(tag, plots.pixels(figure), trainer.global_step, dataformats="HWC")
        if self.save_png and trainer.log_dir and trainer.is_global_zero:
            name = f"{tag.replace('/', '_')}_step_{trainer.global_step}.png"
            write_figure(Path(trainer.log_dir) / "figures" / name, figure)


def _events(trainer: Trainer) -> tuple[plots.Array, plots.Array]:
    loader: Any = trainer.train_dataloader
    x, t = loader.dataset[:DRAWN_EVENTS]
    return x.numpy(), t.numpy()
