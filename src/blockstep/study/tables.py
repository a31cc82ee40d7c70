"""The table of a study's report, as HTML and as Markdown: a row for each batch size, a column for each target."""

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

from blockstep.study.looks import looks
from blockstep.study.names import as_text, label, seconds_text, with_range
from blockstep.study.part import Part
from blockstep.study.target_results import Cell, SizeResult, TargetResult

EXPLAINED = (
    "Steps until the target is held, with the best learning rate (lr): the median over the seeds, its 90 % interval, "
    "how many of the seeds held it, and the events and the time of these steps. B_crit is "
    "the critical batch size of the fit, in events."
)
"""What is in the cells."""


def as_html(part: Part) -> str:
    """Return the table as HTML, each batch size with its colour in the figures."""
    look = looks(part.sizes)

    def name(size: Any) -> str:
        return f'<i style="background: {look[size].color}"></i>{escape(label(size))}'

    def cell(words: list[str]) -> str:
        first, *rest = map(escape, words)
        return f"{first}<small>{' '.join(f'<span>{word}</span>' for word in rest)}</small>"

    first, *lines = _lines(part, name, cell)
    head = "".join(f"<th>{words}</th>" for words in first)
    rows = [f'<tr><td class="size">{line[0]}</td>{"".join(f"<td>{c}</td>" for c in line[1:])}</tr>' for line in lines]
    table = "\n".join([f"<tr>{head}</tr>", *rows])
    return f'<div class="wide"><table>\n{table}\n</table></div>\n<p class="about">{EXPLAINED}</p>'


def as_markdown(part: Part) -> str:
    """Return the table as Markdown, and a line below it that explains the cells."""
    first, *lines = _lines(part, label, ", ".join)
    rows = [first, ["---"] * len(first), *lines]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)
    return f"{table}\n\n{EXPLAINED}\n"


def _lines(part: Part, name: Callable[[Any], str], join: Callable[[list[str]], str]) -> list[list[str]]:
    """Return the cells of the table; a cell's parts are joined by `join`."""
    rows = zip(*(goal.sizes for goal in part.goals), strict=True)
    return [
        ["batch size", *(f"hold {label(goal.target)}" for goal in part.goals)],
        *([name(row[0].size), *(join(_size(part, result)) for result in row)] for row in rows),
        ["B_crit", *(join(_fit(goal)) for goal in part.goals)],
    ]


def _size(part: Part, result: SizeResult) -> list[str]:
    lr = f"lr {label(result.best.lr)}, {_count(result.best)}"
    if not result.is_reached:
        return ["not reached", f"best: {lr}"]
    events, seconds = f"{as_text(result.events.value)} events", seconds_text(part.seconds(result))
    return [with_range(*result.steps), lr, events, seconds]


def _fit(goal: TargetResult) -> list[str]:
    if goal.fit is None:
        return ["none", goal.no_fit]
    residual = np.sqrt(np.nanmean(goal.fit.best.residuals**2))
    least = f"S_min {with_range(*goal.fit.s_min)} steps"
    return [with_range(*goal.fit.b_crit), least, f"residuals {100 * residual:.0f} %"]


def _count(cell: Cell) -> str:
    return f"{cell.reached} of {cell.runs}"
