"""An application, which names a project's classes: without it, each project would write a command line of its own.

Classes are named by import paths and nothing here imports torch, so that `--help` answers at once.
"""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from blockstep.base.errors import TRACEBACK, BadInputError, Interrupted, OutputError, RunError, shortened
from blockstep.base.stdout_guard import guarded_stdout, output_status, say
from blockstep.base.suggestions import did_you_mean
from blockstep.runs.stop_signals import STOP_SIGNALS
from blockstep.tensorboard.charts import PLAIN, Charts

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from blockstep.cli.from_python import FinishedRun

RUN = "blockstep.cli.commands.run"

COMMANDS = {
    "fit": ("train a model", RUN),
    "validate": ("evaluate a checkpoint on the validation data", RUN),
    "test": ("evaluate a checkpoint on the test data", RUN),
    "predict": ("write the predictions for the prediction data into a CSV file", RUN),
    "study": ("train over a grid of settings, and report which is best", "blockstep.study.command.study"),
    "view": ("look at the runs in TensorBoard", "blockstep.tensorboard.view.view"),
    "completion": ("print a script that makes a shell complete all of this", "blockstep.cli.completion.completion"),
}
"""The commands that every application has: what each does, and the function behind it."""

Command = Callable[["Application", str, list[str]], object]


@dataclass(frozen=True)
class Application:
    """A command line for a model and a data module, which are named by import paths.

    Everything but the name and the two classes has a default that suits any model.

    Attributes:
        name: The program's name.
        model: The LightningModule.
        data: The LightningDataModule.
        version: What `--version` prints.
        about: A sentence about the program.
        report: An `EpochReport`, the keys of which are below `epoch_report`.
        monitor: The validation metric that decides which state is kept as best.ckpt.
        mode: Whether smaller ("min") or larger values ("max") of it are better.
        limit: The value of the monitor that no model can beat, if it is known.
        defaults: Defaults by key, where they differ from those of the classes. With a "name", all runs have this one.
        run_names: Names of certain values, by key, from which the names of runs are made.
        configs: Folders of configs that `--config` takes by name; the first that exists is used.
        charts: The charts in TensorBoard.
        columns: Names of the columns that `predict` writes: the inputs', then the predictions'. Without names they are
            numbered.
        study: Defaults of `study`, by the names in `blockstep.study.defaults.KEYS`.
        picture: A function of the model in training that draws what it has learned, for the report of a study. It
            returns an RGB image, shape (height, width, 3), or None.
        commands: More commands: what each does, and a function that is called with the application, the command's name
            and its arguments.

    Example:
        >>> Application("mine", model="mine.model.Classifier", data="mine.data.Table").main(["--version"])
        mine 0
        0
    """

    name: str
    model: str
    data: str
    version: str = "0"
    about: str = ""
    report: str = "blockstep.runs.epoch_report.EpochReport"
    monitor: str = "val/loss"
    mode: Literal["min", "max"] = "min"
    limit: float | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    run_names: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)
    configs: Sequence[Path] = ()
    charts: Charts = PLAIN
    columns: Sequence[str] = ()
    study: Mapping[str, Any] = field(default_factory=dict)
    picture: str | None = None
    commands: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def modes(self) -> dict[str, Literal["min", "max"]]:
        """The metrics by which a model may be judged: the monitor or, if a model does not log it, val/loss."""
        return {self.monitor: self.mode} | ({} if self.monitor == "val/loss" else {"val/loss": "min"})

    def main(self, args: Sequence[str] | None = None) -> int:
        """Run a command.

        Args:
            args: The arguments; those of the command line by default.

        Returns:
            The exit status: 0 if all went well, 1 if a run could not go on, 2 if the input was bad, 130 or 143 if
            Ctrl-C or SIGTERM has ended the run, 141 if the reader of the output has gone.
        """
        with STOP_SIGNALS.listening():
            return self._status(list(sys.argv[1:] if args is None else args))

    def run(self, command: str, args: list[str]) -> Path | None:
        """Run fit, validate, test or predict, and return the run's folder if there is one. Errors are raised."""
        from blockstep.cli.commands import run

        return run(self, command, args)

    def fit(self, **settings: Any) -> "FinishedRun":
        """Train from Python, as `fit` does on the command line: with a run's folder, resume, and TensorBoard.

        Args:
            settings: The keys of the command line, as in `trainer={"max_epochs": 3}, name="first"`. A class with
                arguments is a `partial`: `model=partial(Net, width=8)`.

        Returns:
            The trained model, the run's folder, and its metrics.

        Raises:
            BadInputError: If the settings cannot be used.
            RunError: If the run could not go on. What it had saved is kept.
        """
        from blockstep.cli.from_python import fit

        return fit(self, settings)

    def settings(self, args: list[str]) -> "Namespace":
        """Return the settings that a fit would have, without training. Errors are raised."""
        from blockstep.cli.commands import rehearse

        return rehearse(self, args)

    def _status(self, args: list[str]) -> int:
        try:
            with guarded_stdout():
                self._dispatch(args)
        except (BadInputError, RunError) as error:
            say(f"{self.name}: error: {shortened(str(error))}")
            return error.status
        except Interrupted as stop:
            say(f"{self.name}: {stop}")
            return stop.status
        except OutputError as error:
            return output_status(self.name, error)
        except OSError as error:  # outside of a run, whose errors are translated
            if TRACEBACK in os.environ:
                raise
            say(f"{self.name}: error: a file cannot be written or read: {shortened(str(error))}.")
            return 1
        return 0

    def _dispatch(self, args: list[str]) -> None:
        commands = {**COMMANDS, **self.commands}
        command, *rest = args or ["--help"]
        if command in ("-h", "--help"):
            print(self._usage())
        elif command == "--version":
            print(f"{self.name} {self.version}")
        elif command in commands:
            load_command(commands[command][1])(self, command, rest)
        elif command.startswith("-"):
            words = " ".join(word for word in args if word not in commands)
            raise BadInputError(f"the command comes first, as in: {self.name} fit {words}. Got {command!r} instead.")
        else:
            listed, meant = ", ".join(commands), did_you_mean(command, commands)
            raise BadInputError(f"the command must be one of {listed}. Got {command!r} instead.{meant}")

    def _usage(self) -> str:
        commands = {**COMMANDS, **self.commands}
        width = max(map(len, commands))
        listed = "\n".join(f"  {name:{width}}  {text}" for name, (text, _) in commands.items())
        return (
            f"usage: {self.name} COMMAND [options]\n\n{self.about}\n\ncommands:\n{listed}\n\n"
            f"{self.name} COMMAND --help lists a command's options; {self.name} --version prints the version."
        )


def load_command(path: str) -> Command:
    """Import the function of a command.

    Garbage collection is off meanwhile: torch and Lightning create a million objects, none of which is garbage. Looking
    for it takes a fifth of the time, and later a fifth of a second each time in the middle of an epoch.
    """
    first = "torch" not in sys.modules
    if first:
        gc.disable()
    try:
        command: Command = resolve_name(path)
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        raise BadInputError(
            f"the libraries must be importable with the environment's variables (MPLBACKEND, RANK, …). Got "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        if first:
            gc.freeze()
            gc.enable()
    return command
