"""Tables of the whole job: medians and quartiles over the rounds, as Markdown."""

import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from report import cell
from whole_process import SECONDS, Epochs, Printed

Cases = dict[str, Epochs | Printed]
"""What was measured in a regime, by name."""

RATIOS = {
    "batchlab, over the loop by hand": ("batchlab", "by hand"),
    "batchlab, compiled, over JAX": ("batchlab, compiled", "JAX"),
    "batchlab, over the Lightning template": ("batchlab", "Lightning template"),
    "the loop by hand with torch.compile, over it without": ("by hand, torch.compile", "by hand"),
}
TITLES = {"batch": "batch (1100)", "online": "online (1)", "minibatch": "mini-batch (10)"}
SMALL, LARGE = 11_000, 1_100_000  # validation events


def tables(cases: dict[str, Cases]) -> str:
    """Return all tables of the cases, which are given by regime."""
    batch = cases["batch"]
    drawn = cell(milliseconds(less(batch["contours"], batch["batchlab"])))
    contour = f"A contour, drawn after each epoch: {drawn} ms."
    parts = [head(cases), times(cases), ratios(cases), all_cores(batch), validation(batch), contour, growth(batch)]
    return "\n\n".join(filter(None, parts))


def all_cores(batch: Cases) -> str:
    """Return what JAX takes in batch learning if it is not kept on one core; nothing if it was not measured."""
    if "JAX, on all cores" not in batch:
        return ""
    jax = batch["JAX, on all cores"].seconds
    ratio = cell(over(batch["batchlab, compiled"].seconds, jax))
    return f"On all cores, JAX takes {cell(milliseconds(jax))} ms an epoch of batch learning: the ratio is {ratio}."


def head(cases: dict[str, Cases]) -> str:
    rounds = len(cases["batch"]["batchlab"].seconds)
    return (
        f"Measured on {datetime.now(UTC).date()}, one core of {processor()}, torch {version('torch')}: medians "
        f"[quartiles] of\n{rounds} rounds. In each, every program trains for at least {SECONDS:g} s."
    )


def processor() -> str:
    file = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", file.read_text()) if file.exists() else None
    return found[1] if found else platform.processor()


def times(cases: dict[str, Cases]) -> str:
    rows = [[name, *(cell(milliseconds(cases[regime][name].seconds)) for regime in cases)] for name in cases["online"]]
    return markdown(["An epoch of the whole job, in ms", *map(TITLES.get, cases)], rows)


def ratios(cases: dict[str, Cases]) -> str:
    kept = {title: names for title, names in RATIOS.items() if all(name in cases["online"] for name in names)}
    rows = [
        [title, *(cell(over(regime[first].seconds, regime[second].seconds)) for regime in cases.values())]
        for title, (first, second) in kept.items()
    ]
    return markdown(["Ratios of these, within a round", *map(TITLES.get, cases)], rows)


def validation(batch: Cases) -> str:
    by_hand, rows = batch["validation by hand"].seconds, []
    for engine in ("", ", compiled"):
        seconds = less(batch[f"validation{engine}"], batch[f"no validation{engine}"])
        cells = [milliseconds(seconds), milliseconds(by_hand), over(seconds, by_hand)]
        rows.append([f"batchlab{engine}", *map(cell, cells)])
    return markdown(["A validation of 11,000 events", "ms", "by hand, ms", "ratio"], rows)


def growth(batch: Cases) -> str:
    small, large, base = batch["validation"], batch["large validation"], batch["no validation"]
    first, second = less(small, base), less(large, base)
    memory = [median(case.memory) for case in (small, large)]
    more = f"{(memory[1] - memory[0]) / (LARGE - SMALL):.0f} bytes"
    rows = [
        [f"{SMALL:,}", cell(milliseconds(first)), "1", f"{memory[0] / 2**20:.0f} MiB", ""],
        [f"{LARGE:,}", cell(milliseconds(second)), cell(over(second, first)), f"{memory[1] / 2**20:.0f} MiB", more],
    ]
    return markdown(["Events in a validation", "ms", "to the first", "peak memory", "over the first, per event"], rows)


def growth_is_linear(batch: Cases) -> bool:
    """Whether a hundred times the validation events take a hundred times as long, within 40 %."""
    base = batch["no validation"]
    growth = median(over(less(batch["large validation"], base), less(batch["validation"], base)))
    return 0.6 <= growth * SMALL / LARGE <= 1.4


def over(first: list[float], second: list[float]) -> list[float]:
    """Return the ratios, one for each round."""
    return [a / b for a, b in zip(first, second, strict=True)]


def less(first: Epochs, second: Epochs) -> list[float]:
    """Return the differences in seconds, one for each round."""
    return [a - b for a, b in zip(first.seconds, second.seconds, strict=True)]


def milliseconds(seconds: list[float]) -> list[float]:
    return [value * 1e3 for value in seconds]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
