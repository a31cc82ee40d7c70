"""LightningCLI with the keys, defaults and callbacks of a run: without it, each project would write them itself."""

import locale
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
import yaml  # type: ignore[import-untyped] # it brings no annotations
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES, class_config
from blockstep.checkpoints.checkpoint_file import check_weights_fit
from blockstep.checkpoints.comparison import CompareContents
from blockstep.checkpoints.first_save import TriedCheckpointIO
from blockstep.cli import yaml_text
from blockstep.cli.application import COMMANDS, Application
from blockstep.cli.arguments import add_keys
from blockstep.cli.classes import choose_classes, flatten, foreign_classes, read_config, unflatten
from blockstep.cli.config_safety import restrict_parsing
from blockstep.cli.extras import JOB_SCHEDULERS
from blockstep.cli.help_text import OF_FIT, describe_command, help_text, help_topic
from blockstep.cli.named_configs import config_names, find_configs
from blockstep.cli.predictions import PredictionWriter, check_output
from blockstep.cli.progress_bar import TimedProgressBar
from blockstep.cli.run_names import given_name, name_run
from blockstep.cli.run_parts import checkpoint_callbacks, logging_callbacks, make_loggers
from blockstep.cli.settings import parse
from blockstep.runs.graceful_stop import HandleSignals
from blockstep.runs.nan_guard import NanGuard
from blockstep.runs.run_folder import RunFolder, new_run_folder
from blockstep.runs.run_mark import run_of_last
from blockstep.runs.stop_signals import STOP_SIGNALS
from blockstep.tensorboard.charts import PLAIN

TRAINER_DEFAULTS = {
    "devices": 1,
    "num_sanity_val_steps": -1,  # all of the validation, so that its curves start before the first step
    "enable_model_summary": False,
    "default_root_dir": "runs",
}


RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Environment variables by which Lightning is told that a process is not a run's first one."""


class CommandLine(LightningCLI):
    """LightningCLI for one command of an application.

    LightningCLI's own subcommands are not used (`run=False`): they build the parsers of all commands for each call, and
    a checkpoint's hyperparameters silently overrule the command line.

    Args:
        application: The classes and their defaults.
        command: fit, validate, test or predict.
        args: The command's arguments.
    """

    def __init__(self, application: Application, command: str, args: list[str]) -> None:
        self.application = application
        self.command = command
        args = find_configs(application.configs, args)
        self.classes, self.args, self._saved = choose_classes(application, args)
        self.folder: RunFolder | None = None
        restrict_parsing()
        super().__init__(
            self.classes["model"],
            self.classes["data"],
            save_config_callback=None,  # the config is saved into the run's folder
            trainer_defaults=TRAINER_DEFAULTS | {"enable_progress_bar": sys.stdout.isatty()},
            parser_kwargs={
                "exit_on_error": False,
                "allow_abbrev": False,  # an abbreviated key may become ambiguous in a later version
                "prog": f"{application.name} {command}",
            },
            load_from_checkpoint_support=False,  # checkpoints hold the arguments as plain values
            auto_configure_optimizers=False,  # an optimizer is the model's argument, so that checkpoints hold it
            run=False,
        )

    @cached_property
    def foreign_classes(self) -> dict[str, str]:
        """The import paths of those classes, by key, that are not the application's own."""
        return foreign_classes(self.application, self.classes)

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make a parser whose configs name the classes that are not the application's own."""
        parser = super().init_parser(**kwargs)
        if self.foreign_classes:
            parser.dump = partial(_dump_with_classes, parser.dump, self.foreign_classes)
        if locale.getencoding().lower() != "utf-8":  # as on Windows; jsonargparse reads files in that encoding
            parser.parse_path = partial(_parse_utf8, parser)
        return parser

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the keys that belong to no class."""
        add_keys(parser, self.command)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the report, and set the application's defaults, except for those of classes that were replaced."""
        parser.add_lightning_class_args(resolve_name(self.application.report), "epoch_report")
        for key in (f"model.{name}" for name in CLASSES):
            default = parser.get_defaults().get(key)
            if isinstance(default, partial) and isinstance(default.func, type):  # this is how a config writes it
                parser.set_defaults({key: class_config(default, default.func)})
        replaced = tuple(f"{key}." for key in self.foreign_classes)
        defaults = {key: value for key, value in self.application.defaults.items() if not key.startswith(replaced)}
        parser.set_defaults(defaults)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the arguments, name the run, and set the number of threads; or print help, and end."""
        topic = help_topic(self.args)
        if topic is not None:
            about = describe_command(COMMANDS[self.command][0], list(config_names(self.application.configs)))
            print(help_text(parser, about, topic, () if self.command == "fit" else OF_FIT))
            parser.exit()
        defaults = parser.get_defaults()
        self.config, self._resumed = parse(parser, self.command, self.args, self._saved)
        if self.command == "fit":
            self._name_run(parser, defaults)
        use_threads(self.config.threads)

    def instantiate_classes(self) -> None:
        """Build the data, the model and the trainer.

        Raises:
            BadInputError: If an argument is out of its range.
        """
        try:
            super().instantiate_classes()
            if self.config.ckpt_path is not None:
                check_weights_fit(self.model, Path(self.config.ckpt_path))
        except BaseException:  # a signal too
            if self.folder is not None:
                self.folder.discard()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer. That of a fit has loggers and checkpoints in a run folder of its own."""
        config = self.config_init.trainer
        if config.barebones:
            raise BadInputError("trainer.barebones must be false: it forbids all that a run keeps. Got true instead.")
        config.callbacks = [*_as_list(config.callbacks), *self._callbacks(config)]
        config.plugins = [*_as_list(config.plugins), TriedCheckpointIO()]
        if self.config.ckpt_path is not None:
            config.num_sanity_val_steps = 0  # its curves have started
        if self.command != "fit":
            config.logger = config.enable_checkpointing = False  # evaluations print, and leave no folder
        elif not config.fast_dev_run:
            self._use_folder(config)
        path = self.folder.path if self.folder else None
        for scheduler in JOB_SCHEDULERS:
            config.callbacks += scheduler.callbacks(self.application.name, path, self.args)
        config.profiler = config.profiler or NoProfiler()
        rank = rank_zero_only.rank  # type: ignore[attr-defined] # by the environment; building a trainer may correct it
        trainer = super().instantiate_trainer(**kwargs)
        _check_rank(rank, trainer)
        return trainer

    def make_folder(self) -> RunFolder | None:
        """Make the folder of a new run. From now on, a signal waits until the run starts, and then discards it."""
        STOP_SIGNALS.postpone()
        return new_run_folder(Path(self.config.trainer.default_root_dir), self.run_name)

    def _name_run(self, parser: LightningArgumentParser, defaults: Namespace) -> None:
        """Choose the run's name. The config keeps it only if `--name` was given, so that others are made anew."""
        if self._resumed is not None:
            self.run_name = self._resumed.parent.name
            self.config.name = read_config(str(self._resumed / "config.yaml")).get("name")
            return
        run = None if self.config.ckpt_path is None else run_of_last(Path(self.config.ckpt_path))
        args = [*self._saved, *([] if run is None else [f"--config={run / 'config.yaml'}"]), *self.args]
        classes = [self.classes[key].__name__.lower() for key in self.foreign_classes]
        self.run_name = name_run(parser, self.config, defaults, args, self.application.run_names, classes)
        self.config.name = given_name(args)

    def _callbacks(self, config: Namespace) -> Iterator[Callback]:
        yield HandleSignals()
        if self.command == "predict":
            check_output(Path(self.config.output), self.config)
            yield PredictionWriter(Path(self.config.output), self.application.columns)
        if self.command == "fit":
            yield CompareContents()
        if self.command == "fit" and self.config.on_nan == "stop":
            yield NanGuard()
        if config.enable_progress_bar and not any(isinstance(own, ProgressBar) for own in _as_list(config.callbacks)):
            yield TimedProgressBar(self.application.modes)

    def _use_folder(self, config: Namespace) -> None:
        self.folder = RunFolder(self._resumed, is_new=False) if self._resumed else self.make_folder()
        if self.folder is None:
            return
        config.default_root_dir = self.folder.path
        if config.logger is not False:
            charts = PLAIN if "model" in self.foreign_classes else self.application.charts
            loggers = make_loggers(self.folder, charts, self.config.seed_everything, self.config.ckpt_path)
            config.logger = [*loggers, *(_as_list(config.logger) if config.logger is not True else [])]
            config.callbacks = [*logging_callbacks(loggers[0], self.application, self.yaml), *config.callbacks]
        if config.enable_checkpointing is not False:
            folder = self.folder.path / "checkpoints"
            first, *others = checkpoint_callbacks(folder, self.application, self.yaml, flatten(self._plain))
            config.callbacks = [first, *config.callbacks, *others]

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """The run's config as plain values."""
        config: dict[str, Any] = yaml.safe_load(self.yaml)
        return config

    @cached_property
    def yaml(self) -> str:
        """The run's config. It repeats the run from its start, so it names no checkpoint."""
        config = self.config.clone(with_meta=False)
        config.ckpt_path = None
        text: str = self.parser.dump(config, skip_unset=False)
        # Defaults that YAML cannot express (a torch.device) are left out, so that they are the defaults again.
        return re.sub(r"^.*: Unable to serialize instance .*\n", "", text, flags=re.MULTILINE)


class Rehearsal(CommandLine):
    """Build all that a fit needs but its run folder."""

    def make_folder(self) -> None:
        """Make none."""


class NoProfiler(PassThroughProfiler):
    """Lightning's default profiler makes a generator for each hook of each callback, a thirtieth of a short epoch."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override] # a narrower promise
        """Time nothing."""
        return _NOTHING


_NOTHING: AbstractContextManager[None] = nullcontext()


def _check_rank(rank: int, trainer: Trainer) -> None:
    """Raise BadInputError if the environment says that this is a further process of a run, which it is not."""
    if rank and trainer.global_rank == 0:
        found = [f"{name}={os.environ[name]}" for name in RANKS if name in os.environ]
        raise BadInputError(
            f"a process of rank {rank} must be one of several, of which trainer.devices and trainer.num_nodes say how "
            f"many. Got {' and '.join(found)} in the environment, and {trainer.world_size} process(es): unset it, or "
            "set these keys."
        )


def _dump_with_classes(dump: Callable[..., str], classes: dict[str, str], *args: Any, **kwargs: Any) -> str:
    return yaml_text.dump(unflatten(yaml.safe_load(dump(*args, **kwargs)), classes))


def _parse_utf8(parser: LightningArgumentParser, path: str, **kwargs: Any) -> Namespace:
    config: Namespace = parser.parse_string(Path(path).read_text(encoding="utf-8"), path, **kwargs)
    return config


def use_threads(threads: int) -> None:
    """Set the number of torch threads in this process and its children."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # can be set once in a process
        torch.set_num_interop_threads(1)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
