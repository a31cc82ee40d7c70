"""The report of a study: one page that opens without a network, and its figures and table as files."""

from base64 import b64encode
from collections import Counter
from html import escape
from pathlib import Path
from string import Template

from blockstep.base.atomic_files import write_atomically
from blockstep.study import tables
from blockstep.study.answer import answer, warnings
from blockstep.study.figures import FIGURES
from blockstep.study.looks import FORMS, NothingToDrawError, Picture, as_svg, draw
from blockstep.study.names import file_name, label, listed, setting_name
from blockstep.study.part import Part, parts_of
from blockstep.study.player import player
from blockstep.study.sheet import sheet
from blockstep.study.table import Study

TEMPLATE = Template(Path(__file__).with_name("report.html").read_text("utf-8"))

DEFINITIONS = (
    "A target is held from the first checkpoint at which the metric is at or below it{stays}. Checkpoints are "
    "log-spaced, {per_decade} from one power of ten of steps to the next. The steps are those at which a line from the "
    "checkpoint before crosses the target. A training that has not held a target counts as one that would take "
    "infinitely long. One has diverged when the metric is not finite, or above its start by more than {diverged:g} "
    "times the start's size.",
    "The best learning rate of a batch size is that of the fewest steps. Intervals are of 90 %, from seeds drawn anew "
    "with replacement (bootstrap), the best learning rate chosen anew for each drawing. The least of several medians "
    "is a little too small, and its interval skewed: take it as a hint.",
    "Seconds are the steps times the time of a step, which is the median slope (Theil-Sen) of training time over steps "
    "between checkpoints. What a checkpoint's interruption takes is left out, since an ordinary training has none.",
    "The critical batch size B_crit is that of S(B) = S_min (1 + B_crit / B), fitted to the logarithms of the steps "
    "(McCandlish et al., An Empirical Model of Large-Batch Training, 2018, equation 2.11). Perfect scaling is half the "
    "steps at twice the batch size (Shallue et al., Measuring the Effects of Data Parallelism on Neural Network "
    "Training, 2019).",
)
"""How the numbers of a report are meant."""


def write_report(study: Study, folder: Path) -> None:
    """Write what a study has found.

    Args:
        study: The study. Each value of a third axis, or each combination of values of further ones, has a section of
            its own.
        folder: Where `report.html`, `table.md` and `figures` are written. Figures there for which there is no data any
            more are removed.

    Raises:
        OSError: If a file cannot be written.
    """
    body, markdown = [_about(study)], [f"# {study.name}\n"]
    for part in parts_of(study):
        if part.title:
            body.append(f'<h2 class="part">{escape(part.title)}</h2>')
            markdown.append(f"## {part.title}\n")
        body += _sections(part, folder / "figures" / file_name(part.title))
        markdown.append(tables.as_markdown(part))
    body += [_frames(study, folder / "figures" / "at_equal_events.png"), _definitions(study)]
    words = "\n".join(body).replace(" %", "&nbsp;%")
    page = TEMPLATE.substitute(title=escape(f"Study: {study.name}"), body=words)
    write_atomically(folder / "report.html", page.encode())
    write_atomically(folder / "table.md", "\n".join(markdown).encode())


def _about(study: Study) -> str:
    """Return a paragraph on what was trained."""
    axes = "; ".join(f"{setting_name(key)} {listed([label(v) for v in values])}" for key, values in study.axes.items())
    ended = Counter(curve.outcome for curve in study.curves)
    how = listed([f"{count} {WORDS[outcome]}" for outcome, count in ended.most_common()])
    text = f"{len(study.curves)} trainings: {axes}. Of these, {how}. Engine: {study.engine}."
    return f'<p class="about">{escape(text)}</p>'


WORDS = {
    "held": "held their last target",
    "budget": "spent their budget",
    "diverged": "diverged",
    "failed": "failed",
}
"""How trainings end."""


def _sections(part: Part, folder: Path) -> list[str]:
    """Return the answer, the table and the figures of a part of a study, and write the figures' files."""
    figures = [_figure_section(part, name, folder) for name in FIGURES]
    return [_answer(part), tables.as_html(part), *figures]


def _answer(part: Part) -> str:
    sentences = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in answer(part))
    found = "\n".join(f"<p>{escape(warning)}</p>" for warning in warnings(part))
    return f'<ol class="answer">\n{sentences}\n</ol>' + (f'\n<div class="warnings">\n{found}\n</div>' if found else "")


def _figure_section(part: Part, name: str, folder: Path) -> str:
    """Return a figure's section and write its files; without data, say which is missing and remove old files."""
    title, build = FIGURES[name]
    files = {form: folder / f"{name}.{form}" for form in FORMS}
    try:
        picture = build(part)
    except NothingToDrawError as error:
        for path in files.values():
            path.unlink(missing_ok=True)
        return _section(name, title, f'<p class="missing">{escape(str(error))}</p>')
    figure = draw(picture.panels)
    for form, path in files.items():
        write_atomically(path, FORMS[form](figure))
    return _section(name, picture.title, _figure(picture))


def _figure(picture: Picture) -> str:
    """Return a figure for the page, each panel by itself, so that they are stacked where they have no room."""
    parts = [f"<p>{escape(picture.caption)}</p>", '<div class="panels">']
    for place, panel in enumerate(picture.panels, start=1):
        source = b64encode(as_svg(draw([panel]))).decode("ascii")
        words = escape(f"{picture.title} (panel {place} of {len(picture.panels)})")
        parts.append(f'<figure><img alt="{words}" src="data:image/svg+xml;base64,{source}"></figure>')
    return "\n".join([*parts, "</div>"])


def _section(name: str, title: str, content: str) -> str:
    return f'<section class="{name}">\n<h2>{escape(title)}</h2>\n{content}\n</section>'


def _frames(study: Study, path: Path) -> str:
    """Return the section of the pictures, and write the last ones to a file; without any, remove an old one."""
    if any(study.frames.values()):
        write_atomically(path, sheet(study.frames))
        return player(study.frames)
    path.unlink(missing_ok=True)
    return _section("frames", "At equal events", '<p class="missing">No training of this study has left pictures.</p>')


def _definitions(study: Study) -> str:
    """Return how the numbers are meant, and what is known besides."""
    further = {1: "one", 2: "two"}.get(study.rules.further, study.rules.further)
    stays = f" and stays so at the next {further}: a single dip does not count" if further else ", even in a single dip"
    lines = "\n".join(f"<p>{escape(line.format(stays=stays, **vars(study.rules)))}</p>" for line in DEFINITIONS)
    besides = "<br>\n".join(map(escape, study.start))
    return _section("definitions", "How this was measured", f'{lines}\n<p class="about">{besides}</p>')
