"""The table of a comparison: from what runs have logged to text and CSV."""

import csv
import io
from collections.abc import Sequence
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from blockstep.base.aligned import aligned
from blockstep.base.atomic_files import write_atomically
from blockstep.runs.csv_logger import read_rows

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

OVER_SEEDS = ("epoch_sec", "printed_loss", "regret", "auroc", "average_precision")
"""The columns that differ between seeds."""


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


def over_seeds(rows: Sequence[Row]) -> Row:
    """Return the rows of a regime with several seeds as one: medians, and under `NAME_min` and `NAME_max` their range.

    Args:
        rows: The regime's, one for each seed; a single one is returned as it is.

    Example:
        >>> row = {"steps": 1, "regret": 0.2, **dict.fromkeys(("epoch_sec", "printed_loss"), 1.0)}
        >>> row |= {"auroc": 0.5, "average_precision": 0.5}
        >>> merged = over_seeds([row, row | {"regret": 0.4}, row | {"regret": 0.3}])
        >>> merged["regret"], merged["regret_min"], merged["regret_max"]
        (0.3, 0.2, 0.4)
    """
    merged = dict(rows[0])
    for name in OVER_SEEDS if len(rows) > 1 else ():
        values = [row[name] for row in rows]
        merged |= {name: median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
    return merged


def add_ratios(rows: list[Row]) -> None:
    """Add ratios of the epochs' times to the mini-batch regime's or, if there is none, to the first run's."""
    base = next((row for row in rows if row["regime"] == "minibatch"), rows[0])
    for row in rows:
        row["ratio"] = row["epoch_sec"] / base["epoch_sec"]


def as_text(rows: Sequence[Row]) -> str:
    """Return the table as aligned text, with the ranges over seeds in brackets."""
    cells = [list(COLUMNS)] + [[_cell(row, name, form) for name, form in COLUMNS.items()] for row in rows]
    return aligned(cells)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the table, with columns for the ranges over seeds if there are any."""
    ranges = [name for name in rows[0] if name.endswith(("_min", "_max"))]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*COLUMNS, *ranges])
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def _cell(row: Row, name: str, form: str) -> str:
    if f"{name}_min" not in row:
        return format(row[name], form)
    value, least, most = (format(row[key], form or ".4f") for key in (name, f"{name}_min", f"{name}_max"))
    return f"{value} [{least}, {most}]"
