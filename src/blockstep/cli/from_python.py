"""A fit from Python: without this module, a notebook would have to write command lines, and to look for files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from blockstep.base.aligned import aligned
from blockstep.base.errors import BadInputError
from blockstep.base.factories import class_config, import_path
from blockstep.cli.application import Application
from blockstep.cli.commands import train
from blockstep.runs.csv_logger import read_rows
from blockstep.runs.stop_signals import STOP_SIGNALS

LAST_ROWS = 5
"""Rows of the metrics that are shown of a run."""


@dataclass(frozen=True, repr=False)
class FinishedRun:
    """What came of a fit.

    Attributes:
        model: The trained model, in its last state. That of the best metric is in `folder / "checkpoints"`.
        folder: The run's folder; None for a trial run that leaves none.
        metrics: What was logged, by column, of which "step" is one; nan where nothing was. `pandas.DataFrame` takes it.
    """

    model: LightningModule
    folder: Path | None
    metrics: dict[str, list[float]]

    def __repr__(self) -> str:
        rows = list(zip(*self.metrics.values(), strict=True))[-LAST_ROWS:]
        cells = [list(self.metrics), *([f"{value:.6g}" for value in row] for row in rows)]
        return f"{type(self.model).__name__} in {self.folder}\n{aligned(cells)}"


def fit(application: Application, settings: Mapping[str, Any]) -> FinishedRun:
    """Train, as the command `fit` does.

    Args:
        application: The classes and their defaults.
        settings: By key, in mappings for `model`, `data`, `trainer` and so on, or with dots.

    Raises:
        BadInputError: If they cannot be used.
        RunError: If the run could not go on.
    """
    with STOP_SIGNALS.listening():
        cli = train(application, list(_words(settings)))
    folder = None if cli.folder is None else cli.folder.path
    rows = [] if folder is None else read_rows(folder / "metrics.csv")
    columns = {name: [float(row[name] or nan) for row in rows] for name in (rows[0] if rows else ())}
    return FinishedRun(cli.model, folder, columns)


def _words(settings: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield settings as arguments of the command line."""
    for name, value in settings.items():
        key = f"{above}{name}"
        if key in ("model", "data") and isinstance(value, type | partial):
            cls: Any = value.func if isinstance(value, partial) else value
            yield f"--{key}={import_path(cls)}"
            yield from _words(value.keywords if isinstance(value, partial) else {}, f"{key}.")
        elif isinstance(value, Mapping) and "class_path" not in value:
            yield from _words(value, f"{key}.")
        else:
            yield f"--{key}={value if isinstance(value, str) else json.dumps(value, default=partial(_plain, key))}"


def _plain(key: str, value: Any) -> Any:
    """Return a value that JSON does not know as one that a config may hold."""
    if isinstance(value, type):
        return import_path(value)
    if isinstance(value, partial):
        cls: Any = value.func
        return class_config(value, cls)
    if isinstance(value, Path):
        return str(value)
    raise BadInputError(
        f"{key} must be a value that a config can hold, a class, or a partial of one. Got {type(value).__name__}."
    )
