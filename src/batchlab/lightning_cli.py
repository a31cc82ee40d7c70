"""LightningCLI as batchlab sets it up: which classes, defaults, keys, and what surrounds a training."""

import os
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from batchlab.checkpoint import WholeCheckpointIO, check_weights_fit
from batchlab.config_safety import restrict_parsing
from batchlab.data import ToyDataModule
from batchlab.epoch_report import EpochReport
from batchlab.errors import BadInputError
from batchlab.graceful_stop import KeepListening
from batchlab.keys import add_checkpoint_keys, add_run_keys
from batchlab.model import BinaryClassifier
from batchlab.nan_guard import NanGuard
from batchlab.no_profiler import NoProfiler
from batchlab.parsing import parse
from batchlab.predictions import PredictionWriter
from batchlab.progress import TimedProgressBar
from batchlab.run_checkpoints import checkpoint_callbacks
from batchlab.run_folder import discard_run_folder, shared_run_folder
from batchlab.run_lock import RunLock
from batchlab.run_loggers import run_loggers, tensorboard_callbacks
from batchlab.slurm import slurm_callbacks

TRAINER_DEFAULTS = {
    "accelerator": "cpu",  # the printed digits are promised there, and 17,000 weights would bore a GPU
    "devices": 1,
    "max_epochs": 1,  # the notebook's
    "num_sanity_val_steps": -1,  # all of it: the validation before the first step is where the curves set out
    "enable_model_summary": False,  # the model is always the same
    "default_root_dir": "runs",
}


class BatchlabCLI(LightningCLI):
    """LightningCLI with batchlab's classes, defaults and keys, for one command at a time.

    LightningCLI's own subcommands are not used (`run=False`): they build the parsers of all commands for each call,
    and let a checkpoint's hyperparameters silently overrule the command line.
    """

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.args = args
        self.run_folder: Path | None = None
        self.run_to_continue: Path | None = None
        self._lock: RunLock | None = None
        restrict_parsing()
        super().__init__(
            BinaryClassifier,
            ToyDataModule,
            save_config_callback=None,  # `_fit` saves it, into the run's folder
            trainer_defaults=TRAINER_DEFAULTS | {"enable_progress_bar": sys.stdout.isatty()},
            parser_kwargs={
                "exit_on_error": False,
                "allow_abbrev": False,  # a key that is cut short may be another one tomorrow
                "prog": f"batchlab {command}",
                "description": None,
            },
            load_from_checkpoint_support=False,  # the model names its own hyperparameters
            auto_configure_optimizers=False,  # the optimizer is an argument of the model, and so in its checkpoints
            run=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the keys that belong to the run as a whole."""
        add_run_keys(parser)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the report, the checkpoint, and the model's default optimizer as a config file writes it."""
        parser.add_lightning_class_args(EpochReport, "epoch_report")
        add_checkpoint_keys(parser, self.command)
        parser.set_defaults({"model.optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}}})

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses the arguments, and sets the number of threads."""
        self.config, self.run_to_continue = parse(parser, self.command, self.args)
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
        except BaseException:  # a signal too
            self.discard_run_folder()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer; a fit's has loggers and checkpoints in a run folder of its own."""
        config = self.config_init.trainer
        if config.barebones:
            raise BadInputError("trainer.barebones must be false: it forbids all that a run keeps. Got true instead.")
        config.callbacks = [*_listed(config.callbacks), *self._callbacks(config)]
        config.plugins = [*_listed(config.plugins), WholeCheckpointIO()]
        if self.config.ckpt_path is not None:
            config.num_sanity_val_steps = 0  # its curves have set out
        if self.command != "fit":
            config.logger = config.enable_checkpointing = False  # evaluations print, and leave no folder
        elif not config.fast_dev_run:
            self._use_run_folder()
        config.callbacks += slurm_callbacks(self.run_folder, self.args)
        config.profiler = config.profiler or NoProfiler()
        return super().instantiate_trainer(**kwargs)

    def _use_run_folder(self) -> None:
        self.run_folder = self.run_to_continue or self.make_run_folder()
        if self.run_folder is None:
            return
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined] # Lightning keeps it there, for lack of a trainer
            self._lock = RunLock(self.run_folder)
        self._keep_everything_in(self.run_folder)

    def make_run_folder(self) -> Path | None:
        """Makes the folder of a new run."""
        return shared_run_folder(Path(self.config.trainer.default_root_dir), self.config.name)

    def _callbacks(self, config: Namespace) -> Iterator[Callback]:
        yield KeepListening()
        if self.command == "predict":
            yield PredictionWriter(Path(self.config.output))
        if self.command == "fit" and self.config.on_nan == "stop":
            yield NanGuard()
        if config.enable_progress_bar and not any(isinstance(own, ProgressBar) for own in _listed(config.callbacks)):
            yield TimedProgressBar()

    def release_run_folder(self) -> None:
        """Lets others in."""
        if self._lock is not None:
            self._lock.release()

    def discard_run_folder(self) -> None:
        """Removes the folder of a run that did not start, and lets others into one that did."""
        self.release_run_folder()
        if self.run_folder is not None and self.run_to_continue is None:
            discard_run_folder(self.run_folder)

    def _keep_everything_in(self, folder: Path) -> None:
        config = self.config_init.trainer
        if config.logger in (None, True):
            resumed = Path(self.config.ckpt_path) if self.run_to_continue else None
            config.logger = run_loggers(folder, self.config.seed_everything, resumed)
            config.callbacks = [*tensorboard_callbacks(config.logger, self.yaml), *config.callbacks]
        config.default_root_dir = folder
        if config.enable_checkpointing is not False:
            config.callbacks += checkpoint_callbacks(folder, self.yaml, validated=config.limit_val_batches != 0)

    @cached_property
    def yaml(self) -> str:
        """The run's config; as it is to repeat the run, it does not start from a checkpoint."""
        config = self.config.clone(with_meta=False)
        config.ckpt_path = None
        text: str = self.parser.dump(config, skip_unset=False)
        # Defaults that YAML has no form for (a torch.device); left out, they are the defaults again.
        return re.sub(r"^.*: Unable to serialize instance .*\n", "", text, flags=re.MULTILINE)


def use_threads(threads: int) -> None:
    """Gives torch so many threads, here and in every process started from here."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # can be set once in a process
        torch.set_num_interop_threads(1)


def _listed(value: Any) -> list[Any]:
    """What Lightning takes alone or in a list, as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
