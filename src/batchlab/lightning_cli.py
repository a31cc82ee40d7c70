"""fit, validate, test and predict, configured by LightningCLI."""

import os
import sys
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import PositiveInt, restricted_number_type
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from batchlab.checkpoint import check_weights_fit, load_settings
from batchlab.console import quiet
from batchlab.data import ToyDataModule
from batchlab.epoch_report import EpochReport
from batchlab.errors import BadInputError
from batchlab.last_checkpoint import LastCheckpoint
from batchlab.loggers import RunEvents, RunTable
from batchlab.model import BinaryClassifier
from batchlab.predictions import PredictionWriter
from batchlab.progress import TimedProgressBar
from batchlab.resume import ExactResume
from batchlab.run_folder import create_run_folder, discard_run_folder

TRAINER_DEFAULTS = {
    "accelerator": "cpu",  # the printed digits are promised there, and 17,000 weights would bore a GPU
    "devices": 1,
    "max_epochs": 1,  # the notebook's
    "num_sanity_val_steps": 0,  # an epoch takes less time than the check that validation will work after it
    "enable_model_summary": False,  # the model is always the same
    "default_root_dir": "runs",
}


def run(command: str, args: list[str]) -> Path | None:
    """Runs fit, validate, test or predict.

    Args:
        command: Which of them.
        args: The words behind it on the command line.

    Returns:
        The run's folder, if the command made one.

    Raises:
        BadInputError: If the arguments cannot be used; no run folder is left then.
    """
    with quiet():
        cli = BatchlabCLI(command, args)
        if command == "fit":
            _fit(cli)
        else:
            _evaluate(cli)
    return cli.run_folder


class BatchlabCLI(LightningCLI):
    """LightningCLI with batchlab's classes, defaults and keys, for one command at a time.

    LightningCLI's own subcommands are not used (`run=False`): they build the parsers of all commands for each call,
    and let a checkpoint's hyperparameters silently overrule the command line.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.args = args
        self.run_folder: Path | None = None
        super().__init__(
            BinaryClassifier,
            ToyDataModule,
            save_config_callback=None,  # `_fit` saves it, into the run's folder
            trainer_defaults=TRAINER_DEFAULTS | {"enable_progress_bar": sys.stdout.isatty()},
            parser_kwargs={"exit_on_error": False, "prog": f"batchlab {command}", "description": None},
            load_from_checkpoint_support=False,  # the model names its own hyperparameters
            auto_configure_optimizers=False,  # the optimizer is an argument of the model, and so in its checkpoints
            run=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the keys that belong to the run as a whole."""
        parser.add_argument(
            "--seed_everything",
            type=restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)]),
            default=0,
            help="Seed of the weights and of everything else that is random but the events. The default is the one "
            "that the README's numbers were made with.",
        )
        parser.add_argument(
            "--threads",
            type=PositiveInt,
            default=1,
            help="Processor threads that torch may use. The default is the notebook's: a network this small is "
            "fastest on one.",
        )
        parser.add_argument(
            "--name",
            type=str,
            default="minibatch",
            help="Name of the run: its folder is NAME/version_N in trainer.default_root_dir. The default is the "
            "regime that the other defaults make.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the report and the checkpoint, and the model's default optimizer as a config file writes it."""
        parser.add_lightning_class_args(EpochReport, "epoch_report")
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="Checkpoint to start from. Its model and data settings are the defaults of this command.",
        )
        if self.command == "predict":
            parser.add_argument(
                "--output",
                type=str,
                default="predictions.csv",
                help="CSV file to write: x1, x2, probability. The default lies in the current folder.",
            )
        parser.set_defaults({"model.optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}}})

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses the arguments, a checkpoint's settings below them, and sets the number of threads.

        Raises:
            BadInputError: If they do not parse, or an evaluation lacks its checkpoint.
        """
        try:
            self.config = parser.parse_args(self.args)
            if self.config.ckpt_path is not None:
                parser.set_defaults(load_settings(Path(self.config.ckpt_path)))
                self.config = parser.parse_args(self.args)
        except ArgumentError as error:
            raise BadInputError(f"{error}\nbatchlab {self.command} --help lists the options.") from error
        if self.config.ckpt_path is None and self.command != "fit":
            raise BadInputError(
                f"ckpt_path must be given: without it, {self.command} would score random weights. "
                f"Try: batchlab {self.command} --ckpt_path runs/minibatch/version_0/checkpoints/last.ckpt"
            )
        use_threads(self.config.threads)

    def instantiate_classes(self) -> None:
        """Builds data, model and trainer.

        Raises:
            BadInputError: If an argument is out of its range.
        """
        try:
            super().instantiate_classes()
            if self.config.ckpt_path is not None:
                check_weights_fit(self.model, Path(self.config.ckpt_path))
        except (BadInputError, ValueError, TypeError, MisconfigurationException) as error:
            self.discard_run_folder()
            raise BadInputError(str(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer; a fit's has loggers and checkpoints in a run folder of its own."""
        config = self.config_init.trainer
        if self.command == "predict":
            config.callbacks = [*(config.callbacks or []), PredictionWriter(Path(self.config.output))]
        if self.command != "fit":
            config.logger = config.enable_checkpointing = False  # evaluations print, and leave no folder
        elif not config.fast_dev_run:
            create = rank_zero_only(create_run_folder)  # one folder, whatever the number of processes
            self.run_folder = create(Path(config.default_root_dir), self.config.name)
        if self.run_folder is not None:
            self._keep_everything_in(self.run_folder)
        if config.enable_progress_bar and not any(isinstance(c, ProgressBar) for c in config.callbacks or []):
            config.callbacks = [*(config.callbacks or []), TimedProgressBar()]
        return super().instantiate_trainer(**kwargs)

    def discard_run_folder(self) -> None:
        """Removes the folder of a run that did not start."""
        if self.run_folder is not None:
            discard_run_folder(self.run_folder)

    def _keep_everything_in(self, folder: Path) -> None:
        config = self.config_init.trainer
        if config.logger in (None, True):
            runs, name, version = folder.parent.parent, folder.parent.name, folder.name
            config.logger = [
                RunEvents(runs, name, version, default_hp_metric=False),
                RunTable(runs, name, version),
            ]
        config.default_root_dir = folder
        if config.enable_checkpointing is not False:
            config.callbacks = [*(config.callbacks or []), *_checkpoints(folder, config.limit_val_batches != 0)]


def _checkpoints(folder: Path, validated: bool) -> list[Callback]:
    """Keeps the newest state and, where epochs are validated, that of the lowest regret."""
    last = [ExactResume(), LastCheckpoint(folder / "checkpoints" / "last.ckpt")]
    best = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/regret", enable_version_counter=False)
    return [*last, best] if validated else last


def use_threads(threads: int) -> None:
    """Gives torch so many threads, here and in every process started from here."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # can be set once in a process
        torch.set_num_interop_threads(1)


def _fit(cli: BatchlabCLI) -> None:
    if cli.run_folder is not None:
        # The config repeats the run, so it must not continue from where this one did.
        config = cli.config.clone(with_meta=False)
        config.ckpt_path = None
        cli.parser.save(config, cli.run_folder / "config.yaml", skip_unset=False, multifile=False)
    try:
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True)
    except MisconfigurationException as error:
        if not list(Path(cli.trainer.default_root_dir).glob("checkpoints/*")):
            cli.discard_run_folder()
        raise BadInputError(str(error)) from error
    if cli.run_folder is not None:
        print(f"run folder: {cli.run_folder}")


def _evaluate(cli: BatchlabCLI) -> None:
    options = {"return_predictions": False} if cli.command == "predict" else {}
    entry_point = getattr(cli.trainer, cli.command)
    entry_point(cli.model, cli.datamodule, ckpt_path=cli.config.ckpt_path, weights_only=True, **options)
