"""Compute ratios from pytest-benchmark's JSON. Write them as tables to both READMEs, and draw a plot.

python report.py RESULTS.json
"""

import json
import re
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
SIZES = (1, 10, 1100)
# The denominator of each kind of ratio. For long processes it is the fastest peer.
BASES = {"epoch": "bare loop", "process": "bare loop", "long process": "JAX, jit and scan", "start": "import torch"}
TITLES = {
    "epoch": "An epoch, over the bare loop's",
    "process": "A whole process of one epoch, over the bare loop's",
    "long process": "A whole process of 2000, 5000 and 5000 epochs, over JAX's",
    "start": "A process, over that of `python -c 'import torch'`",
}


def ratios(results: dict, kind: str) -> dict[str, dict[int, list[float]]]:
    """Return the ratios of each case and batch size, one for each round. A turn's epochs count by their median."""
    seconds = {
        (info["turn"], info["batch_size"], info["case"]): median(info["seconds"])
        for info in (benchmark["extra_info"] for benchmark in results["benchmarks"])
        if info["kind"] == kind
    }
    table: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (turn, size, case), value in seconds.items():
        optimizer = next((name for name in (", Adam", ", momentum") if name in case), "")
        table[case][size].append(value / seconds[turn, size, BASES[kind] + optimizer])
    return table


def cell(values: list[float]) -> str:
    """Return the median as text, with the quartiles if there are at least three rounds."""
    if len(values) < 3:
        return rounded(median(values), 2)
    low, middle, high = (rounded(value, 3) for value in quantiles(values, n=4, method="inclusive"))
    return f"{middle} [{low}, {high}]"


def rounded(value: float, digits: int) -> str:
    """Return so many digits of a number as text, in thousands rather than with an exponent."""
    return f"{float(f'{value:.{digits}g}'):,g}"


def table_text(results: dict, kind: str) -> str:
    """Return one table in Markdown."""
    table = ratios(results, kind)
    columns = list(table[BASES[kind]])
    names = " | ".join(f"batch {size}" if size else "ratio" for size in columns)
    lines = [f"| {TITLES[kind]} | {names} |", "| --- |" + " ---: |" * len(columns)]
    for case, sizes in table.items():
        if not case.startswith(BASES[kind]):
            lines.append(f"| {case} | " + " | ".join(cell(sizes[size]) for size in columns) + " |")
    return "\n".join(lines)


def plot(results: dict) -> Figure:
    """Draw the time of an epoch as a ratio to the bare loop's: a bar for each case and batch size, on a log scale."""
    cases = {case: sizes for case, sizes in ratios(results, "epoch").items() if ", Adam" not in case}
    cases = {case: sizes for case, sizes in cases.items() if ", momentum" not in case}
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(cases))
    for i, size in enumerate(SIZES):
        values = [median(sizes[size]) for sizes in cases.values()]
        axes.barh(rows + 0.26 * (i - 1), values, 0.24, label=f"batch size {size}")
    axes.set(xscale="log", xlabel="time of an epoch, over the bare loop's", yticks=rows, yticklabels=cases)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.legend()
    axes.grid(axis="x", alpha=0.4)
    return figure


def fill(page: Path, name: str, text: str) -> None:
    """Replace the text between a page's marks of that name, if it has them."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    page.write_text(re.sub(marks, lambda match: f"{match[1]}{text}\n{match[2]}", page.read_text(), flags=re.DOTALL))


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    cpu = results["machine_info"]["cpu"]["brand_raw"]
    day = datetime.fromisoformat(results["datetime"]).date()
    rounds = 1 + max(benchmark["extra_info"]["turn"] for benchmark in results["benchmarks"])
    kinds = dict.fromkeys(benchmark["extra_info"]["kind"] for benchmark in results["benchmarks"])
    said = f"Measured on {day}, one thread of {cpu}, {rounds} rounds: medians [quartiles] of the ratios within a round."
    text = "\n\n".join([said, *(table_text(results, kind) for kind in kinds)])
    print(text)
    fill(ROOT / "benchmarks" / "README.md", "speed", text)
    fill(ROOT / "README.md", "speed", f"{said}\n\n{table_text(results, 'epoch')}")
    plot(results).savefig(ROOT / ".github" / "speed.png", dpi=110)


if __name__ == "__main__":
    main()
