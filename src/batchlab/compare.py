"""batchlab compare: train several regimes one after the other and show them side by side."""

import argparse
import csv
import io
from collections.abc import Sequence
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jsonargparse import Namespace

from batchlab import plots
from batchlab.epoch_report import DRAWN_EVENTS, mesh_probabilities
from batchlab.model import BinaryClassifier
from batchlab.toy import draw_events, posterior
from blockstep.base.aligned import aligned
from blockstep.base.atomic_files import write_atomically
from blockstep.base.errors import BadInputError, RunError
from blockstep.checkpoints.checkpoint_file import load_settings
from blockstep.cli.application import Application
from blockstep.runs.csv_logger import read_rows
from blockstep.runs.run_folder import create_run_folder

REGIMES = [
    ["--name=batch", "--data.batch_size=null"],
    ["--name=online", "--data.batch_size=1"],
    ["--name=minibatch", "--data.batch_size=10"],
]
"""The notebook's three regimes, as in configs/, under these names whatever options are added."""

Row = dict[str, Any]

COLUMNS = {
    "regime": "s",
    "steps": "d",
    "epoch_sec": ".4f",
    "ratio": ".3g",
    "printed_loss": "",
    "regret": ".4f",
    "auroc": ".4f",
    "average_precision": ".4f",
}
"""The table's columns and how the terminal shows their values; the CSV file has every digit."""


def compare(application: Application, _command: str, args: Sequence[str]) -> None:
    """Train each regime by an ordinary fit, then print a table and write it, with a picture, to a folder.

    Args:
        application: Trains the regimes.
        args: Config files, and options of `batchlab fit` that every run is given.

    Raises:
        BadInputError: If the arguments cannot be used.
    """
    words, options = _parser().parse_known_args(args)
    if unclear := [option for option in options if "=" not in option]:
        raise BadInputError(f"options for every fit must be written --KEY=VALUE. Got {unclear[0]!r} instead.")
    plan = [_named(application, ["--config", config]) for config in words.configs] or REGIMES
    fits = [[*regime, *options] for regime in plan]
    for fit in fits:
        _check(application.settings(fit))
    _warm_up()
    folders = [_folder(application.run("fit", [*fit, f"--trainer.default_root_dir={words.runs}"])) for fit in fits]
    rows = [row | {"regime": name} for name, row in zip(_names(folders), map(summarize, folders), strict=True)]
    _add_ratios(rows)
    print(f"\n{as_text(rows)}\n")
    folder = create_run_folder(folders[0].parent.parent, "compare")
    _write_csv(rows, folder / "table.csv")
    plots.write_picture(folder / "contours.png", plots.pixels(plots.comparison_figure(_panels(folders))))
    print(f"table and picture: {folder}")


def _named(application: Application, regime: list[str]) -> list[str]:
    """Add its name to a regime, since options of every fit would make all names longer and tell none apart."""
    return [*regime, f"--name={application.settings(regime).name}"]


def summarize(folder: Path) -> Row:
    """Return what a run logged, as a row of the table.

    Args:
        folder: The run's.

    Returns:
        A value for each of `COLUMNS` but the ratio; nan where the run logged none.
    """
    lines = read_rows(folder / "metrics.csv")
    logged = {key: [float(line[key]) for line in lines if line[key]] for key in lines[0]}
    final = {key: values[-1] for key, values in logged.items() if values}
    return {
        "regime": folder.parent.name,
        "steps": int(final["step"]) + 1,
        "epoch_sec": median(logged["time/epoch_sec"]),
        "printed_loss": final["train/last_batch_loss"],
        "regret": final.get("val/regret", nan),
        "auroc": final.get("val/auroc", nan),
        "average_precision": final.get("val/average_precision", nan),
    }


def as_text(rows: Sequence[Row]) -> str:
    """Return the table as aligned text."""
    cells = [list(COLUMNS)] + [[format(row[name], form) for name, form in COLUMNS.items()] for row in rows]
    return aligned(cells)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchlab compare",
        allow_abbrev=False,
        description="Trains several regimes one after the other, each an ordinary fit, and shows them side by side. "
        "Options that are not listed here are handed to every fit, as in --trainer.max_epochs=10.",
    )
    parser.add_argument(
        "configs",
        nargs="*",
        metavar="CONFIG",
        help="config files, or names of shipped ones; by default, the notebook's three regimes",
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
        "trainer.max_epochs": trainer.max_epochs == 0,
        "trainer.max_steps": trainer.max_steps == 0,
        "trainer.limit_train_batches": trainer.limit_train_batches == 0,
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


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise RunError("a run has left no folder to compare.")
    return folder


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the runs' names; if several runs have the same name, with the version."""
    names = [folder.parent.name for folder in folders]
    return [
        name if names.count(name) == 1 else f"{name}/{folder.name}" for name, folder in zip(names, folders, strict=True)
    ]


def _add_ratios(rows: list[Row]) -> None:
    """Add ratios of the epochs' times to the mini-batch regime's or, if there is none, to the first run's."""
    base = next((row for row in rows if row["regime"] == "minibatch"), rows[0])
    for row in rows:
        row["ratio"] = row["epoch_sec"] / base["epoch_sec"]


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


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
