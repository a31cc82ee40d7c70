"""The keys of the command line that belong to no class."""

import os
import re
from typing import Literal

from jsonargparse import Namespace
from jsonargparse.typing import restricted_number_type
from lightning.pytorch.cli import LightningArgumentParser

from batchlab.errors import BadInputError


def add_run_keys(parser: LightningArgumentParser) -> None:
    """Keys that belong to a command as a whole."""
    parser.add_argument(
        "--seed_everything",
        type=restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)]),
        default=0,
        help="Seed of the weights and of everything else that is random but the events. The default is the one "
        "that the README's numbers were made with.",
    )
    parser.add_argument(
        "--threads",
        type=restricted_number_type("Threads", int, [(">=", 1), ("<=", os.cpu_count() or 1)]),
        default=1,
        help="Processor threads that torch may use, at most as many as there are processors. The default is the "
        "notebook's: a network this small is fastest on one.",
    )
    parser.add_argument(
        "--name",
        type=str,
        default="minibatch",
        help="Name of the run: its folder is NAME/version_N in trainer.default_root_dir. The default is the "
        "regime that the other defaults make.",
    )


def add_checkpoint_keys(parser: LightningArgumentParser, command: str) -> None:
    """Keys about what a command starts from, and about what it leaves."""
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        default=None,
        help="Checkpoint to start from. Its model and data settings are the defaults of this command. A fit goes "
        "on in the run whose last.ckpt it is, with that run's settings; last means the run trained last.",
    )
    if command == "fit":
        parser.add_argument(
            "--allow_changes",
            type=bool,
            default=False,
            help="Whether a run may go on with other settings than it was started with; it then goes on in a new "
            "folder. Off by default, so that a folder is one run.",
        )
        parser.add_argument(
            "--on_nan",
            type=Literal["stop", "ignore"],
            default="stop",
            help="What to do when a loss or a weight is nan or infinite. The default stops the run at the end of "
            "the block, and names step, batch and parameter.",
        )
    if command == "predict":
        parser.add_argument(
            "--output",
            type=str,
            default="predictions.csv",
            help="CSV file to write: x1, x2, probability. The default lies in the current folder.",
        )


def check_groups(config: Namespace) -> None:
    """Raises BadInputError if a config file gives a value where keys belong, which jsonargparse lets pass."""
    for group in ("data", "model", "trainer", "epoch_report"):
        if not isinstance(config[group], Namespace):
            raise BadInputError(f"{group} in a config must be a mapping of keys. Got {config[group]!r} instead.")


def emptied_lists(args: list[str]) -> list[str]:
    """Words that empty the lists to which others append (`--trainer.callbacks+=…`).

    Put between a run's config and the words that the run was started with, they let the same words mean the same
    list, instead of one twice as long.
    """
    appended = (re.match(r"(--[\w.]+)\+", word) for word in args)
    return [f"{key}=null" for key in dict.fromkeys(match[1] for match in appended if match)]
