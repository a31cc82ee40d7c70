"""Extras that take part in a run: without this module, deleting one would need changes in several places.

To delete one, delete its module, its tests, and the two lines here that name it.
"""

from collections.abc import Callable
from types import ModuleType

from lightning.pytorch import Callback

from blockstep.runs import slurm
from blockstep.tensorboard.event_files import RunEvents
from blockstep.tensorboard.loss_curve import LossCurve

JOB_SCHEDULERS: list[ModuleType] = [
    slurm,
]
"""Each has `find_checkpoint(runs, args)`, for a job that goes on, and `callbacks(program, folder, args)`."""

CURVES: list[Callable[[RunEvents], Callback]] = [
    LossCurve,
]
"""Callbacks that draw curves into a run's event file."""
