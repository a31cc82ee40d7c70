"""fit, validate, test and predict: without this module, settings would be parsed and nothing would run."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from blockstep.base.errors import BadInputError, Interrupted, InterruptedRunError, OutputError, RunError
from blockstep.base.showing import Showing
from blockstep.cli.application import Application
from blockstep.cli.lightning_cli import CommandLine, Rehearsal
from blockstep.cli.messages import translate_errors
from blockstep.cli.predictions import load_as_it_is
from blockstep.cli.quiet import quiet
from blockstep.runs.run_summary import summarize
from blockstep.runs.stop_signals import STOP_SIGNALS


def run(application: Application, command: str, args: list[str]) -> Path | None:
    """Run fit, validate, test or predict.

    Args:
        application: The model, the data and their defaults.
        command: Which of the commands.
        args: Its arguments.

    Returns:
        The run's folder, if the command made one.

    Raises:
        BadInputError: If the arguments cannot be used. No run folder is left then, unless something was saved in it.
        RunError: If a run could not go on. What it had saved is kept.
        Interrupted: If a signal has ended an evaluation, or a fit before its run has started.
    """
    if command == "fit":
        folder = train(application, args).folder
        return None if folder is None else folder.path
    with quiet():
        with translate_errors():
            cli = CommandLine(application, command, args)
        _evaluate(cli)
    return None


def train(application: Application, args: list[str]) -> CommandLine:
    """Run fit, and return what it was run with: the trained model, the trainer, and the folder. See `run`."""
    with quiet():
        with translate_errors():
            cli = CommandLine(application, "fit", args)
        try:
            _fit(cli)
        finally:
            if cli.folder is not None:
                cli.folder.release()
    return cli


def rehearse(application: Application, args: list[str]) -> Namespace:
    """Return the settings that a fit would have, with its name, after building everything but its run folder.

    Args:
        application: As for `run`.
        args: As for `run`.

    Raises:
        BadInputError: If the fit could not start.
    """
    with quiet(), translate_errors():
        rehearsal = Rehearsal(application, "fit", args)
    config: Namespace = rehearsal.config
    config.name = rehearsal.run_name
    return config


def _fit(cli: CommandLine) -> None:
    try:
        _train(cli)
    except (BadInputError, InterruptedRunError, OutputError) as error:
        _discard_if_worthless(cli, error)
        raise
    except RunError as error:
        raise RunError(f"{error}{_where(cli, str(error))}") from error
    except Interrupted as stop:
        _discard_if_worthless(cli, stop)
        raise InterruptedRunError(_describe_progress(cli), stop.number) from None
    if cli.folder is not None:
        cli.folder.finish()
    _summarize(cli)
    if STOP_SIGNALS.received:
        raise InterruptedRunError("came after the last step: the run is complete.", STOP_SIGNALS.received)
    _report_failures(cli)


def _where(cli: CommandLine, said: str) -> str:
    folder = cli.folder
    is_known = folder is None or str(folder.path) in said or not folder.has_checkpoints
    return "" if is_known or folder is None else f" The run's folder is {folder.path}."


def _summarize(cli: CommandLine) -> None:
    folder = None if cli.folder is None else cli.folder.path
    try:
        lines = summarize(cli.trainer, folder, cli.application.modes, cli.application.limit)
    except Exception as error:  # a table that was damaged, or values that are no numbers: the run is saved all the same
        raise RunError(f"the run in {folder} is complete and saved, but cannot be summed up: {error}") from error
    for line in [*lines, *([] if folder is None else [f"run folder: {folder}"])]:
        cli.trainer.print(line)


def _report_failures(cli: CommandLine) -> None:
    parts: list[Any] = [*cli.trainer.callbacks, *cli.trainer.loggers]  # type: ignore[attr-defined] # set elsewhere
    failed = {type(showing).__name__ for showing in parts if isinstance(showing, Showing) and showing.failures}
    if failed:
        raise RunError(f"the run is complete and saved, but {', '.join(sorted(failed))} failed, as is said above.")


def _train(cli: CommandLine) -> None:
    STOP_SIGNALS.stop_postponing()
    STOP_SIGNALS.raise_received()
    try:
        with translate_errors(cli.folder):
            if cli.folder is not None:
                cli.folder.start(cli.yaml)
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True)
    finally:
        STOP_SIGNALS.stop_postponing()


def _discard_if_worthless(cli: CommandLine, error: BaseException) -> None:
    """Discard a run without checkpoints, unless it has trained and was told to keep none.

    A run that was refused before it has gone on is left as it was.
    """
    folder = cli.folder
    if folder is None or folder.has_saved:
        return
    untrained = cli.trainer.global_step == 0 or cli.config.trainer.enable_checkpointing is not False
    if untrained if folder.is_new else isinstance(error, BadInputError):
        folder.discard()


def _describe_progress(cli: CommandLine) -> str:
    if cli.folder is not None and not cli.folder.is_new:
        return f"before the next step: {cli.folder.path} is as it was."
    if cli.trainer.global_step == 0:
        return "before the first step: nothing is left."
    return f"after {cli.trainer.global_step} steps of a run that keeps no checkpoints."


def _evaluate(cli: CommandLine) -> None:
    options = {"return_predictions": False} if cli.command == "predict" else {}
    if cli.command == "predict" and cli.trainer.world_size > 1:
        raise BadInputError(
            f"trainer.devices must be 1 to predict: the rows have an order. Got {cli.trainer.world_size} instead."
        )
    if cli.command == "predict":
        load_as_it_is(cli.datamodule)
    entry_point = getattr(cli.trainer, cli.command)
    with translate_errors():
        entry_point(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True, **options)
