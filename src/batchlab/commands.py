"""fit, validate, test and predict: what each does, and what becomes of errors that nobody foresaw."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_only

from batchlab.console import quiet
from batchlab.errors import TRACEBACK, BadInputError, Interrupted, InterruptedRunError, OutputError, RunError
from batchlab.files import write_whole
from batchlab.lightning_cli import BatchlabCLI
from batchlab.stop_signals import STOP_SIGNALS


def run(command: str, args: list[str]) -> Path | None:
    """Runs fit, validate, test or predict.

    Args:
        command: Which of them.
        args: The words behind it on the command line.

    Returns:
        The run's folder, if the command made one.

    Raises:
        BadInputError: If the arguments cannot be used; no run folder is left then, unless something was saved in it.
        RunError: If a run could not go on; what it had saved is kept.
        Interrupted: If a signal has ended an evaluation, or what comes before a run.
    """
    with quiet():
        with in_words():
            cli = BatchlabCLI(command, args)
        if command == "fit":
            try:
                _fit(cli)
            finally:
                cli.release_run_folder()
        else:
            _evaluate(cli)
    return cli.run_folder


def settings(args: list[str]) -> Namespace:
    """The settings that a fit would have, after everything was built from them and thrown away.

    Args:
        args: As for `run`.

    Raises:
        BadInputError: If it could not start.
    """
    with quiet(), in_words():
        config: Namespace = Rehearsal("fit", args).config
    return config


class Rehearsal(BatchlabCLI):
    """Builds all that a fit needs but its run folder."""

    def make_run_folder(self) -> None:
        """Leaves it out."""


@contextmanager
def in_words(run_folder: Path | None = None) -> Iterator[None]:
    """Turns any exception into a message and an exit status.

    What goes wrong before anything was saved is taken for bad input: a setting that Lightning or torch finds out about
    late.

    Args:
        run_folder: The run's, if there is one.

    Raises:
        BadInputError: For an exception before anything was saved.
        RunError: For one after it, and for whatever the operating system refuses.
        OutputError: If standard output cannot be written.
    """
    try:
        yield
    except (BadInputError, RunError, OutputError):
        raise
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        if isinstance(error, OSError):
            where = f" in {run_folder}" if run_folder else ""
            raise RunError(f"a file{where} cannot be written or read: {error}. What was saved is kept.") from error
        if run_folder is not None and any(run_folder.glob("checkpoints/*")):
            raise RunError(f"the run in {run_folder} cannot go on: {_words(error)} What was saved is kept.") from error
        raise BadInputError(_words(error)) from error


def _words(error: Exception) -> str:
    if isinstance(error, (ValueError, MisconfigurationException)):  # meant for whoever gave the value
        return str(error)
    return f"{type(error).__name__}: {error} ({TRACEBACK}=1 shows where it comes from.)"


def _fit(cli: BatchlabCLI) -> None:
    try:
        _train(cli)
    except (BadInputError, InterruptedRunError, OutputError):
        _discard_if_worth_nothing(cli)
        raise
    except Interrupted as stop:
        _discard_if_worth_nothing(cli)
        raise InterruptedRunError(_where(cli), stop.number) from None
    if cli.run_folder is not None:
        cli.trainer.print(f"run folder: {cli.run_folder}")
    if STOP_SIGNALS.received:
        raise InterruptedRunError("came after the last step: the run is complete.", STOP_SIGNALS.received)


def _train(cli: BatchlabCLI) -> None:
    try:
        with in_words(cli.run_folder):
            if cli.run_folder is not None:
                rank_zero_only(write_whole)(cli.run_folder / "config.yaml", cli.yaml.encode())
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True)
    finally:
        STOP_SIGNALS.postpone_no_more()


def _discard_if_worth_nothing(cli: BatchlabCLI) -> None:
    """Discards a run that has nothing to go on from, unless it has trained and was told to keep no checkpoints."""
    if cli.run_folder is None or any(cli.run_folder.glob("checkpoints/*")):
        return
    if cli.trainer.global_step == 0 or cli.config.trainer.enable_checkpointing is not False:
        cli.discard_run_folder()


def _where(cli: BatchlabCLI) -> str:
    if cli.run_to_continue is not None:
        return f"before the next step: {cli.run_folder} is as it was."
    if cli.trainer.global_step == 0:
        return "before the first step: nothing is left."
    return f"after {cli.trainer.global_step} steps of a run that keeps no checkpoints."


def _evaluate(cli: BatchlabCLI) -> None:
    options = {"return_predictions": False} if cli.command == "predict" else {}
    if cli.command == "predict" and cli.trainer.world_size > 1:
        raise BadInputError(
            f"trainer.devices must be 1 to predict: the rows have an order. Got {cli.trainer.world_size} instead."
        )
    entry_point = getattr(cli.trainer, cli.command)
    with in_words():
        entry_point(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True, **options)
