"""SLURM's requeueing: without it, a job that reaches its time limit would have to be resumed by hand.

At the requeue signal a run finishes its block, saves, and has its job started again; the job then goes on with its run.
Lightning's own handler saves in the middle of a block, to a place where no run of ours looks for it.

This is an extra: see CONTRIBUTING.md for how to delete it.
"""

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import Interrupted, InterruptedRunError
from blockstep.base.stdout_guard import say
from blockstep.runs.run_mark import age_order, marked_at
from blockstep.runs.stop_signals import STOP_SIGNALS

NOTE = "slurm_job.json"
"""File in a run's folder until the run is complete: the job that trains it, and its arguments."""


def callbacks(program: str, folder: Path | None, args: list[str]) -> list[Callback]:
    """Return `SlurmRequeue` within a SLURM job, and nothing elsewhere, since each callback costs time in each block."""
    return [SlurmRequeue(program, folder, args)] if "SLURM_NTASKS" in os.environ else []


class SlurmRequeue(Callback):
    """Stop at the requeue signal, if Lightning's SLURM environment has one, and requeue the job.

    SIGTERM is ignored: SLURM sends it before the requeue signal, and a job that has ended by then is not requeued.

    Args:
        program: Name of the command, for messages.
        folder: The run's folder; None for a command without one.
        args: The command's arguments.
    """

    def __init__(self, program: str, folder: Path | None, args: list[str]) -> None:
        self._program = program
        self._note = folder / NOTE if folder else None
        self._args = args
        self._signal: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Handle the signal, and write down which job the run belongs to."""
        self._signal = _requeue_signal(trainer)
        if self._signal is None:
            return
        STOP_SIGNALS.listen_for(self._signal)
        if self._note is not None:
            STOP_SIGNALS.ignore(signal.SIGTERM)
            rank_zero_only(write_atomically)(self._note, json.dumps(_note(self._args)).encode())

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Requeue the job, whose state has been saved."""
        if isinstance(exception, (Interrupted, InterruptedRunError)) and exception.number == self._signal:
            rank_zero_only(_requeue)(self._program)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Delete the note: the run is complete."""
        if self._signal is not None and self._note is not None:
            rank_zero_only(self._note.unlink)(missing_ok=True)


def find_checkpoint(runs: Path, args: list[str]) -> Path | None:
    """Return the last checkpoint of the run that a requeued job goes on with; None if there is none.

    Args:
        runs: The folder of all runs.
        args: The command's arguments, since a job may train several runs.
    """
    if not SLURMEnvironment.detect() or os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return None
    notes = (path for path in runs.glob(f"*/version_*/{NOTE}") if _read(path) == _note(args))
    runs_of_job = sorted((path.parent for path in notes if marked_at(path.parent)), key=age_order, reverse=True)
    found = (run / "checkpoints" / "last.ckpt" for run in runs_of_job)
    return next((path for path in found if path.exists()), None)


def _requeue_signal(trainer: Trainer) -> int | None:
    # No public name leads to the environment of a trainer on one device.
    environment = trainer._accelerator_connector.cluster_environment  # noqa: SLF001
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None


def _job() -> str:
    """Return the job's id as `scontrol requeue` expects it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return os.environ.get("SLURM_JOB_ID", "") if array is None else f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _note(args: list[str]) -> dict[str, object]:
    return {"job": _job(), "args": args}


def _read(path: Path) -> object:
    with suppress(OSError, ValueError):  # the run of another job may have deleted it
        return json.loads(path.read_bytes()) if path.is_file() else None  # a named pipe would be waited for
    return None


def _requeue(program: str) -> None:
    job = _job()
    if not re.fullmatch("[0-9_-]+", job):
        say(f"{program}: SLURM_JOB_ID must be a job's number. Got {job!r} instead: the job is not requeued.")
        return
    try:
        status = subprocess.call(["scontrol", "requeue", job])  # noqa: S603, S607 - SLURM may be installed anywhere
    except OSError as error:
        say(f"{program}: job {job} is not requeued: scontrol cannot be run: {error}.")
        return
    say(f"{program}: job {job} is {'requeued' if status == 0 else f'not requeued: scontrol ended with {status}'}.")
