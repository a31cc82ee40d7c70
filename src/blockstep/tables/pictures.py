"""The figures of evaluations in TensorBoard: without it, each model would decide anew when they are drawn."""

from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from blockstep.base.showing import Showing
from blockstep.tensorboard.event_files import RunEvents


class Pictures(Showing, Callback):
    """Draw the figures of the latest validation after epochs 1, 2, 4, 8 and so on, and after the last.

    The module has an `evaluation`, and `figures(outputs, labels)` by name.
    """

    def __init__(self) -> None:
        self._drawn: Any = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw if it is due."""
        if (trainer.current_epoch + 1).bit_count() == 1:
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the last validation, if that has not been drawn. The last state has been saved by now."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, module: Any) -> None:
        latest = module.evaluation.latest
        if latest is None or latest is self._drawn or not trainer.is_global_zero:
            return
        self._drawn = latest
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        figures: dict[str, Figure] = module.figures(*latest) if loggers else {}
        for name, figure in figures.items():
            picture = _pixels(figure)
            for logger in loggers:
                if isinstance(logger, RunEvents):
                    logger.log_picture(f"val/{name}", picture)
                else:  # one of the user's own
                    logger.experiment.add_image(f"val/{name}", picture, trainer.global_step, dataformats="HWC")


def _pixels(figure: Figure) -> np.ndarray[Any, np.dtype[np.uint8]]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
