"""The keys that belong to no class: without this module, seeds, threads, names and checkpoints could not be chosen."""

import os
import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from jsonargparse import Namespace
from jsonargparse.typing import restricted_number_type
from lightning.pytorch.cli import LightningArgumentParser

from blockstep.base.errors import BadInputError

if TYPE_CHECKING:
    Seed: TypeAlias = int
    Threads: TypeAlias = int
else:
    Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
    Threads = restricted_number_type("Threads", int, [(">=", 1), ("<=", os.cpu_count() or 1)])


class Run:
    """The keys of every command.

    Args:
        seed_everything: Seed of the weights and of everything else that is random, unless the data have a seed of their
            own. The default is 0.
        threads: Processor threads that torch may use, at most as many as there are processors. The default is one,
            since a small network is fastest on a single thread.
        name: Name of the run: its folder is NAME/version_N in trainer.default_root_dir. By default, it is made of those
            settings of model and data that differ from the defaults or from a config that has a name.
        ckpt_path: Checkpoint to start from. Its model and data settings are the defaults of this command. A fit goes on
            in the run whose last.ckpt it is, with that run's settings; last means the run that was started or
            resumed last.
    """

    def __init__(
        self, seed_everything: Seed = 0, threads: Threads = 1, name: str | None = None, ckpt_path: str | None = None
    ) -> None: ...


class Fit:
    """The keys of fit alone.

    Args:
        allow_changes: Whether a run may go on with other settings than it was started with; it then goes on in a new
            folder. The default keeps a folder to one run.
        on_nan: What to do when a loss or a weight is nan or infinite. The default stops the run at the end of the
            block, and names step, batch and parameter; ignore trains on.
    """

    def __init__(self, allow_changes: bool = False, on_nan: Literal["stop", "ignore"] = "stop") -> None: ...


class Predict:
    """The keys of predict alone.

    Args:
        output: CSV file to write, with a row for each event: its inputs, its predictions and, where it is known, its
            label. The default lies in the current folder.
    """

    def __init__(self, output: str = "predictions.csv") -> None: ...


def add_keys(parser: LightningArgumentParser, command: str) -> None:
    """Add the keys of a command that belong to no class."""
    for keys in (Run, {"fit": Fit, "predict": Predict}.get(command)):
        if keys is not None:
            parser.add_class_arguments(keys, None)


def check_groups(config: Namespace) -> None:
    """Raise BadInputError if a config file gives a value instead of a group of keys. jsonargparse accepts that."""
    for group in ("data", "model", "trainer", "epoch_report"):
        if group in config and not isinstance(config[group], Namespace):
            raise BadInputError(f"{group} in a config must be a mapping of keys. Got {config[group]!r} instead.")


def emptied_lists(args: list[str]) -> list[str]:
    """Return arguments that empty each list to which others append (`--trainer.callbacks+=…`).

    A resumed run has its own config below the arguments that it was started with. Between the two, they prevent that
    the same items are appended again.
    """
    appended = (re.match(r"(--[\w.]+)\+", word) for word in args)
    return [f"{key}=null" for key in dict.fromkeys(match[1] for match in appended if match)]
