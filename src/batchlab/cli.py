"""The command line: finds the command, runs it, and turns what went wrong into a message and an exit status.

Kept light on purpose: everything that needs torch is imported by the command that needs it.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from batchlab import __version__, output
from batchlab.errors import TRACEBACK, BadInputError, Interrupted, OutputError, RunError
from batchlab.stop_signals import STOP_SIGNALS

COMMANDS = {
    "fit": "train a model; with no arguments, the mini-batch regime",
    "validate": "evaluate a checkpoint on the validation events",
    "test": "evaluate a checkpoint on the test events",
    "predict": "write the probabilities of the test events into a CSV file",
    "compare": "train several regimes and show them side by side",
    "view": "look at the runs in TensorBoard",
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: The words after the program's name; those of the command line by default.

    Returns:
        The exit status: 0 if all went well, 1 if a run could not go on, 2 if the input was bad, 130 or 143 if the run
        was ended by Ctrl-C or SIGTERM, 141 if whoever reads the output has gone.
    """
    with STOP_SIGNALS.listening():
        return _status(list(sys.argv[1:] if args is None else args))


def _status(args: list[str]) -> int:
    try:
        with output.watched():
            _dispatch(args)
    except (BadInputError, RunError) as error:
        output.say(f"batchlab: error: {error}")
        return error.status
    except Interrupted as stop:
        output.say(f"batchlab: {stop}")
        return stop.status
    except OutputError as error:
        return output.status_without(error)
    except OSError as error:  # a run's are in its own words; these are of what surrounds it
        if TRACEBACK in os.environ:
            raise
        output.say(f"batchlab: error: a file cannot be written or read: {error}.")
        return 1
    return 0


def _dispatch(args: list[str]) -> None:
    command, *rest = args or ["--help"]
    if command in ("-h", "--help"):
        print(_usage())
    elif command == "--version":
        print(f"batchlab {__version__}")
    elif command in COMMANDS:
        _load(command)(rest)
    elif command.startswith("-"):
        words = " ".join(word for word in args if word not in COMMANDS)
        raise BadInputError(f"the command comes first, as in: batchlab fit {words}. Got {command!r} instead.")
    else:
        raise BadInputError(f"the command must be one of {', '.join(COMMANDS)}. Got {command!r} instead.")


def _load(command: str) -> Callable[[list[str]], object]:
    """Imports the function behind a command.

    Garbage collection is off meanwhile: torch and Lightning bring a million objects, of which none is garbage. A
    fifth of the time would go into looking for it here, and a fifth of a second each time in the middle of an epoch.
    """
    if "torch" in sys.modules or command == "view":
        return _import(command)
    gc.disable()
    try:
        return _import(command)
    finally:
        gc.freeze()
        gc.enable()


def _import(command: str) -> Callable[[list[str]], object]:
    if command == "compare":
        from batchlab.compare import compare

        return compare
    if command == "view":
        from batchlab.view import view

        return view
    from batchlab.commands import run

    return partial(run, command)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: batchlab COMMAND [options]\n\n"
        "What does the batch size do to training? The answer, by example, in PyTorch Lightning.\n\n"
        f"commands:\n{commands}\n\n"
        "batchlab COMMAND --help lists a command's options; batchlab --version prints the version."
    )
