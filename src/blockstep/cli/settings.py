"""From arguments to settings: without it, a checkpoint's settings would silently overrule the command line."""

from argparse import ArgumentError
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES
from blockstep.checkpoints.checkpoint_file import load_settings
from blockstep.cli.arguments import check_groups, emptied_lists
from blockstep.cli.config_safety import check_classes
from blockstep.cli.extras import JOB_SCHEDULERS
from blockstep.cli.parse_errors import explain
from blockstep.runs.resume_checks import (
    check_config_kept,
    check_optimizer_kept,
    check_that_something_is_left,
    check_that_something_is_trained,
    check_time,
    resumes_in_place,
)
from blockstep.runs.run_mark import newest_last, plain_path, run_of_last


def parse(
    parser: LightningArgumentParser, command: str, args: list[str], saved: list[str]
) -> tuple[Namespace, Path | None]:
    """Parse a command's arguments, above the settings of the checkpoint that they name.

    Args:
        parser: The command's parser. A checkpoint's settings become its defaults.
        command: fit, validate, test or predict.
        args: The command's arguments.
        saved: Arguments of the run that the checkpoint lies in, with lower priority than those of the command.

    Returns:
        The settings, and the folder of the run that is resumed; None for a new run.

    Raises:
        BadInputError: If the arguments do not parse, or an evaluation lacks its checkpoint.
    """
    try:
        config, run = _parse_with_checkpoint(parser, command, args, saved)
        check_classes(config)
    except UnicodeDecodeError as error:
        raise BadInputError(f"config must be a text file in UTF-8. Got another: {error}.") from error
    except ArgumentError as error:
        raise BadInputError(f"{explain(parser, str(error))}\n{parser.prog} --help lists the options.") from error
    if config.ckpt_path is None and command != "fit":
        raise BadInputError(
            f"ckpt_path must be given: without it, {command} would score random weights. The newest run's is: "
            f"{parser.prog} --ckpt_path last"
        )
    return config, run


def _parse_with_checkpoint(
    parser: LightningArgumentParser, command: str, args: list[str], saved: list[str]
) -> tuple[Namespace, Path | None]:
    config = _parse(parser, [*saved, *args])
    runs = Path(config.trainer.default_root_dir)
    requeued = _checkpoint_of_job(runs, args) if command == "fit" else None
    if requeued is None and config.ckpt_path is None:
        check_that_something_is_trained(config.trainer)
        return config, None
    path = requeued or (newest_last(runs) if config.ckpt_path == "last" else Path(config.ckpt_path))
    if command == "fit":
        return _parse_with_run(parser, args, path, saved)
    _set_defaults(parser, path, [*saved, *args])
    config = _parse(parser, [*saved, *args])
    config.ckpt_path = str(path)
    return config, None


def _checkpoint_of_job(runs: Path, args: list[str]) -> Path | None:
    found = (scheduler.find_checkpoint(runs, args) for scheduler in JOB_SCHEDULERS)
    return next((path for path in found if path is not None), None)


def _parse_with_run(
    parser: LightningArgumentParser, args: list[str], path: Path, saved: list[str]
) -> tuple[Namespace, Path | None]:
    run = run_of_last(path)
    settings = saved if run is None else [f"--config={run / 'config.yaml'}"]
    _set_defaults(parser, path, settings)
    before = _parse(parser, settings)
    config = _parse(parser, [*settings, *(emptied_lists(args) if run else []), *args])
    in_place = run is not None and resumes_in_place(run, path, before, config)
    check_that_something_is_left(path, config.trainer)
    check_optimizer_kept(path, before, config)
    config.ckpt_path = str(path)
    return config, run if in_place else None


def _parse(parser: LightningArgumentParser, args: list[str]) -> Namespace:
    config = _parse_with_own_defaults(parser, args)
    check_groups(config)
    check_time(config.trainer.max_time)
    config.trainer.default_root_dir = _folder_of_runs(config.trainer.default_root_dir)
    if config.ckpt_path is not None:
        config.ckpt_path = plain_path(config.ckpt_path)
    return config


def _parse_with_own_defaults(parser: LightningArgumentParser, args: list[str]) -> Namespace:
    """Parse arguments so that a class that is named has its own defaults.

    jsonargparse hands the arguments of a default class on to a class that replaces it, where both have them: AdamW in
    place of SGD would have no weight decay.
    """
    config: Namespace = parser.parse_args(args)
    defaults = {key: parser.get_default(key) for key in (f"model.{name}" for name in CLASSES) if key in config}
    own = {key: {"class_path": path} for key, old in defaults.items() if (path := _other_class(config[key], old))}
    if own:
        parser.set_defaults(own)
        config = parser.parse_args(args)
        parser.set_defaults({key: defaults[key] for key in own})
    return config


def _other_class(value: Any, default: Any) -> str | None:
    """The path of a class that stands in place of another."""
    path, before = (
        given.get("class_path") if isinstance(given, dict | Namespace) else None for given in (value, default)
    )
    return path if path and before and resolve_name(path) is not resolve_name(before) else None


def _folder_of_runs(value: str | Path | None) -> str:
    """Return the folder of all runs as a plain path. What Lightning would read as an address is refused."""
    path = "" if value is None else plain_path(str(value))
    if not path.isprintable() or not path or "://" in path or "::" in str(Path(path).absolute()):
        raise BadInputError(
            "trainer.default_root_dir must be the path of a folder on this machine, without ::, :// and characters "
            f"that cannot be printed. Got {value!r} instead."
        )
    return path


def _set_defaults(parser: LightningArgumentParser, path: Path, settings: list[str]) -> None:
    given = parser.parse_args(settings)  # imports the classes that it names; a checkpoint may not import any
    check_config_kept(path)
    saved = {key: value for key, value in load_settings(path).items() if key in given}
    parser.parse_object(saved, given)  # checks them as if they were typed; defaults are not checked
    parser.set_defaults(saved)
