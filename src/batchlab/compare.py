"""batchlab compare: train several regimes one after the other and show them side by side."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jsonargparse import Namespace

from batchlab import plots
from batchlab.compare_table import add_ratios, as_text, over_seeds, summarize, write_csv
from batchlab.epoch_report import DRAWN_EVENTS, mesh_probabilities
from batchlab.model import BinaryClassifier
from batchlab.toy import draw_events, posterior
from blockstep.base.errors import BadInputError, RunError
from blockstep.base.suggestions import did_you_mean
from blockstep.checkpoints.checkpoint_file import load_settings
from blockstep.cli.application import Application
from blockstep.runs.run_folder import create_run_folder

REGIMES = [
    ["--name=batch", "--data.batch_size=null"],
    ["--name=online", "--data.batch_size=1"],
    ["--name=minibatch", "--data.batch_size=10"],
]
"""The notebook's three regimes, as in configs/, under these names whatever options are added."""

OWN = ("--runs", "--seeds", "--help")
"""The options that are not those of every fit."""


def compare(application: Application, _command: str, args: Sequence[str]) -> None:
    """Train each regime by an ordinary fit, then print a table and write it, with a picture, to a folder.

    Args:
        application: Trains the regimes.
        args: Config files, and options of `batchlab fit` that every run is given.

    Raises:
        BadInputError: If the arguments cannot be used.
    """
    words, options = _parser().parse_known_args(list(_joined(list(args))))
    for option in options:
        # A fit has keys that look like --seeds.
        if meant := did_you_mean(option.partition("=")[0], ["--runs"]):
            raise BadInputError(f"compare takes configs, --runs, --seeds, and options of fit. Got {option!r}.{meant}")
    if unclear := [option for option in options if "=" not in option]:
        raise BadInputError(f"options for every fit must be written --KEY VALUE. Got {unclear[0]!r} instead.")
    if words.seeds < 1:
        raise BadInputError(f"--seeds must be at least 1. Got {words.seeds} instead.")
    plan = [_named(application, ["--config", config]) for config in words.configs] or REGIMES
    fits = [[*regime, *options] for regime in plan]
    settings = [application.settings(fit) for fit in fits]
    for config in settings:
        _check(config)
    _warm_up()
    trained = [
        [_train(application, fit, config.seed_everything + more, words.runs) for more in range(words.seeds)]
        for fit, config in zip(fits, settings, strict=True)
    ]
    firsts = [folders[0] for folders in trained]
    names = _names(firsts)
    rows = [
        over_seeds(list(map(summarize, folders))) | {"regime": n} for n, folders in zip(names, trained, strict=True)
    ]
    add_ratios(rows)
    print(f"\n{as_text(rows)}\n")
    folder = create_run_folder(firsts[0].parent.parent, "compare")
    write_csv(rows, folder / "table.csv")
    plots.write_picture(folder / "contours.png", plots.pixels(plots.comparison_figure(_panels(firsts))))
    print(f"table and picture: {folder}")


def _joined(args: list[str]) -> Iterator[str]:
    """Yield arguments with `--KEY VALUE` as `--KEY=VALUE`, so that a value is not taken for a config."""
    while args:
        word = args.pop(0)
        is_key = word.startswith("--") and "=" not in word and word not in OWN
        yield f"{word}={args.pop(0)}" if is_key and args and not args[0].startswith("--") else word


def _train(application: Application, fit: list[str], seed: int, runs: str) -> Path:
    """Train a regime with a seed, and return the run's folder."""
    folder = application.run("fit", [*fit, f"--seed_everything={seed}", f"--trainer.default_root_dir={runs}"])
    if folder is None:
        raise RunError("a run has left no folder to compare.")
    return folder


def _named(application: Application, regime: list[str]) -> list[str]:
    """Add its name to a regime, since options of every fit would make all names longer and tell none apart."""
    return [*regime, f"--name={application.settings(regime).name}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchlab compare",
        allow_abbrev=False,
        description="Trains several regimes one after the other, each an ordinary fit, and shows them side by side. "
        "Options that are not listed here are handed to every fit, as in --trainer.max_epochs 10.",
    )
    parser.add_argument(
        "configs",
        nargs="*",
        metavar="CONFIG",
        help="config files, or names of shipped ones; by default, the notebook's three regimes",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="seeds of each regime, of which the table has medians and ranges (default: 1)",
    )
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="folder of all runs (default: runs)")
    return parser


def _check(config: Namespace) -> None:
    """Raise BadInputError if a fit with these settings would not leave what is compared."""
    trainer = config.trainer
    spoilers = {
        "trainer.fast_dev_run": trainer.fast_dev_run,
        "trainer.logger": trainer.logger is False,
        "trainer.enable_checkpointing": trainer.enable_checkpointing is False,
        "trainer.devices": trainer.devices not in (1, "1"),
        "ckpt_path": config.ckpt_path is not None,
    }
    for key, spoils in spoilers.items():
        if spoils:
            raise BadInputError(
                f"{key} must be left at its default: compare trains each regime from its start, on one device, and "
                f"reads its table and its checkpoint. Got {config[key]!r} instead."
            )
    if trainer.default_root_dir != "runs":
        raise BadInputError(
            f"the folder of compared runs is given by --runs. Got {trainer.default_root_dir!r} as well."
        )


def _warm_up() -> None:
    """Take a step that is not timed: torch initializes much in the first one of a process."""
    model = BinaryClassifier()
    model.batch_loss((torch.zeros(1, 2), torch.zeros(1, 1))).backward()
    model.optimizer(model.parameters()).step()


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the runs' names; if several runs have the same name, with the version."""
    names = [folder.parent.name for folder in folders]
    return [
        name if names.count(name) == 1 else f"{name}/{folder.name}" for name, folder in zip(names, folders, strict=True)
    ]


def _panels(folders: Sequence[Path]) -> dict[str, plots.Panel]:
    """Return a panel for each run, and the exact posterior for each ratio of signal to background."""
    panels, exact = {}, {}
    for name, folder in zip(_names(folders), folders, strict=True):
        path = folder / "checkpoints" / "last.ckpt"
        data = load_settings(path)
        mixture = data["data.num_signal"], data["data.num_background"]
        x, t = (array[:DRAWN_EVENTS] for array in draw_events(*mixture, data["data.seed"]))
        panels[name] = plots.Panel(mesh_probabilities(BinaryClassifier.load_from_checkpoint(path)), x, t)
        exact[mixture] = plots.Panel(posterior(plots.mesh(), *mixture), x, t)
    for mixture, panel in exact.items():
        panels["exact posterior" + (f" of {mixture[0]} : {mixture[1]}" if len(exact) > 1 else "")] = panel
    return panels
