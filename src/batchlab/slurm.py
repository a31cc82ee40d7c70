"""SLURM's requeueing: a run ends its block, saves, and has its job started again, which goes on with it by itself.

Lightning's own way saves wherever a signal finds the run, which may be within a block, and looks for that checkpoint
where no run of ours is. This is an extra: nothing breaks without this module and the lines that name it.
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

from batchlab.errors import Interrupted, InterruptedRunError
from batchlab.files import write_whole
from batchlab.output import say
from batchlab.stop_signals import STOP_SIGNALS

NOTE = "slurm_job.json"
"""File in a run's folder, until the run is complete: the job that trains it, and the words that it was started with."""


def slurm_callbacks(folder: Path | None, args: list[str]) -> list[Callback]:
    """`SlurmRequeue`, among a job's tasks; elsewhere none, since every callback is asked at every block."""
    return [SlurmRequeue(folder, args)] if "SLURM_NTASKS" in os.environ else []


class SlurmRequeue(Callback):
    """Where Lightning is to requeue a job, takes that signal as one to stop at, and requeues the job.

    SIGTERM is not one to stop at meanwhile: SLURM sends it ahead of the end, and a job that has left before the requeue
    signal comes would not be requeued.

    Args:
        folder: The run's; None for a command that has none.
        args: The words behind the command.
    """

    def __init__(self, folder: Path | None, args: list[str]) -> None:
        self._note = folder / NOTE if folder else None
        self._args = args
        self._signal: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listens, and notes whose run this is."""
        self._signal = _requeue_signal(trainer)
        if self._signal is None:
            return
        STOP_SIGNALS.listen_for(self._signal)
        if self._note is not None:
            STOP_SIGNALS.overhear(signal.SIGTERM)
            rank_zero_only(write_whole)(self._note, json.dumps(_note(self._args)).encode())

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Requeues the job, whose state is saved by now."""
        if isinstance(exception, (Interrupted, InterruptedRunError)) and exception.number == self._signal:
            rank_zero_only(_requeue)()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets the job: the run is complete."""
        if self._signal is not None and self._note is not None:
            rank_zero_only(self._note.unlink)(missing_ok=True)


def requeued_run(runs: Path, args: list[str]) -> Path | None:
    """The last checkpoint of the run that this job was at when it was requeued; None if it was not, or at no run.

    Args:
        runs: The folder of all runs.
        args: The words behind the command: a job may train several runs.
    """
    if not SLURMEnvironment.detect() or os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return None
    notes = (path for path in runs.glob(f"*/version_*/{NOTE}") if _read(path) == _note(args))
    found = [path.parent / "checkpoints" / "last.ckpt" for path in notes]
    return max((path for path in found if path.exists()), key=lambda path: path.stat().st_mtime_ns, default=None)


def _requeue_signal(trainer: Trainer) -> int | None:
    # No public name leads to the environment of a trainer on one device.
    environment = trainer._accelerator_connector.cluster_environment  # noqa: SLF001
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None


def _job() -> str:
    """The job's name as `scontrol requeue` wants it, and as Lightning gives it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return os.environ.get("SLURM_JOB_ID", "") if array is None else f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _note(args: list[str]) -> dict[str, object]:
    return {"job": _job(), "args": args}


def _read(path: Path) -> object:
    with suppress(OSError, ValueError):  # another job's run may be complete by now
        return json.loads(path.read_bytes())
    return None


def _requeue() -> None:
    job = _job()
    if not re.fullmatch("[0-9_-]+", job):
        say(f"batchlab: SLURM_JOB_ID must be a job's number. Got {job!r} instead: the job is not requeued.")
        return
    try:
        status = subprocess.call(["scontrol", "requeue", job])  # noqa: S603, S607 - SLURM's, wherever that is installed
    except OSError as error:
        say(f"batchlab: job {job} is not requeued: scontrol cannot be run: {error}.")
        return
    say(f"batchlab: job {job} is {'requeued' if status == 0 else f'not requeued: scontrol ended with {status}'}.")
