"""From the words of a command line to its settings: parsed, checked, and a checkpoint's settings below them."""

from argparse import ArgumentError
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from batchlab.checkpoint import load_settings
from batchlab.config_safety import check_classes
from batchlab.continued import check_optimizer_kept, continued_run
from batchlab.errors import BadInputError
from batchlab.keys import check_groups, emptied_lists
from batchlab.run_folder import newest_last, run_of_last
from batchlab.slurm import requeued_run


def parse(parser: LightningArgumentParser, command: str, args: list[str]) -> tuple[Namespace, Path | None]:
    """The settings of a command, and the folder of the run that it goes on with.

    Args:
        parser: The command's. A checkpoint's settings become its defaults.
        command: fit, validate, test or predict.
        args: The words behind it.

    Raises:
        BadInputError: If they do not parse, or an evaluation lacks its checkpoint.
    """
    try:
        config, run = _on_a_checkpoint(parser, command, args)
        check_classes(config)
    except UnicodeDecodeError as error:
        raise BadInputError(f"config must be a text file in UTF-8. Got another: {error}.") from error
    except ArgumentError as error:
        raise BadInputError(f"{error}\nbatchlab {command} --help lists the options.") from error
    if config.ckpt_path is None and command != "fit":
        raise BadInputError(
            f"ckpt_path must be given: without it, {command} would score random weights. "
            f"Try: batchlab {command} --ckpt_path runs/minibatch/version_0/checkpoints/last.ckpt"
        )
    return config, run


def _on_a_checkpoint(parser: LightningArgumentParser, command: str, args: list[str]) -> tuple[Namespace, Path | None]:
    config = _parsed(parser, args)
    runs = Path(config.trainer.default_root_dir)
    requeued = requeued_run(runs, args) if command == "fit" else None
    if requeued is None and config.ckpt_path is None:
        return config, None
    path = requeued or (newest_last(runs) if config.ckpt_path == "last" else Path(config.ckpt_path))
    if command == "fit":
        return _on_its_run(parser, args, path)
    _set_defaults(parser, path, [])
    config = _parsed(parser, args)
    config.ckpt_path = str(path)
    return config, None


def _on_its_run(parser: LightningArgumentParser, args: list[str], path: Path) -> tuple[Namespace, Path | None]:
    run = run_of_last(path)
    settings = [] if run is None else ["--config", str(run / "config.yaml")]
    _set_defaults(parser, path, settings)
    before = _parsed(parser, settings)
    config = _parsed(parser, [*settings, *(emptied_lists(args) if run else []), *args])
    goes_on_in = continued_run(run, path, before, config) if run else None
    check_optimizer_kept(path, before, config)
    config.ckpt_path = str(path)
    return config, goes_on_in


def _parsed(parser: LightningArgumentParser, args: list[str]) -> Namespace:
    config: Namespace = parser.parse_args(args)
    check_groups(config)
    return config


def _set_defaults(parser: LightningArgumentParser, path: Path, settings: list[str]) -> None:
    parser.parse_args(settings)  # imports what the run's own config names; a checkpoint may not
    saved = load_settings(path)
    parser.parse_object(saved)  # as if they were typed; defaults are not checked
    parser.set_defaults(saved)
