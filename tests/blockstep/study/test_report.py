"""The report of a study, as files."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from study_for_reports import CRITICAL, RATE, SIZE, SIZES, TARGETS, drawn_study, with_noise, with_pictures

from blockstep.base.png import as_png
from blockstep.study.answer import answer, warnings
from blockstep.study.figures import FIGURES
from blockstep.study.looks import NothingToDrawError, looks
from blockstep.study.names import as_text, with_range
from blockstep.study.part import parts_of
from blockstep.study.player import LARGEST, player
from blockstep.study.report import write_report
from blockstep.study.sheet import sheet
from blockstep.study.tables import as_markdown

FEW = {"sizes": (1, 10, 100), "rates": (0.03, 0.3, 1.0), "targets": (0.1,), "seeds": 3}


class Page(HTMLParser):
    """What a page holds: its text, and what it loads."""

    def __init__(self, source):
        super().__init__()
        self.source, self.text, self.loaded, self.headings, self._open = source, "", [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.loaded += [value for key, value in attributes if key in {"src", "href", "srcset", "data"}]
        if tag in {"script", "style", "h2"}:
            self._open.append(tag)
            self.headings += [""] * (tag == "h2")

    def handle_endtag(self, tag):
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data):
        if self._open[-1:] == ["h2"]:
            self.headings[-1] += data
        if self._open[-1:] != ["script"] and self._open[-1:] != ["style"]:
            self.text += data


def frames_in(section):
    """What a player's script is given, by batch size: events and pictures."""
    return json.loads(re.search(r'id="frame-data">(.*?)</script>', section, re.DOTALL)[1])["frames"]


def part_of(study):
    (part,) = parts_of(study)
    return part


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of a study with all that a report can show."""
    folder = tmp_path_factory.mktemp("report")
    write_report(with_noise(with_pictures(drawn_study(targets=TARGETS))), folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    """Its page."""
    return Page((folder / "report.html").read_text("utf-8"))


@pytest.mark.slow
def test_a_report_loads_nothing_from_outside(page):
    assert page.loaded
    assert [source[:40] for source in page.loaded if not source.startswith("data:image/")] == []
    assert [word for word in ("http://", "https://", "@import", "url(") if word in page.source] == []


@pytest.mark.slow
def test_a_report_is_small_and_has_all_figures_as_files(folder):
    assert (folder / "report.html").stat().st_size < 5e6
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {"at_equal_events.png", *(f"{name}.{form}" for name in FIGURES for form in ("png", "svg"))}


@pytest.mark.slow
def test_a_report_shows_its_parts_in_order(page):
    wanted = ["One learning rate, 0.03", "Steps and events until", "Steps until", "Seconds until", "The gradient noise"]
    assert [heading[: len(words)] for heading, words in zip(page.headings, wanted, strict=False)] == wanted
    assert page.headings[len(wanted) :] == ["At equal events", "How this was measured"]
    assert "A study of numbers & noise." in page.text


@pytest.mark.slow
def test_a_report_begins_with_the_answer(page):
    sentences = answer(part_of(drawn_study()))
    assert len(sentences) == 3
    assert [sentence for sentence in sentences if sentence not in page.text] == []


@pytest.mark.slow
def test_the_table_is_the_same_as_markdown(folder):
    part = part_of(drawn_study())
    assert (folder / "table.md").read_text("utf-8") == f"# drawn\n\n{as_markdown(part)}"


def test_the_answers_numbers_are_those_of_the_statistics():
    part = part_of(drawn_study())
    goal = part.headline
    first, same, prices = answer(part)
    assert goal.target == TARGETS[1]
    assert first.startswith(f"To hold val/quality at 0.05, {with_range(*goal.fit.b_crit)} events is the critical batch")
    steps = [cell.steps for result in part.goals[-1].sizes for cell in result.cells if cell.lr == 0.03]
    assert f"take {as_text(min(steps))} to {as_text(max(steps))} steps" in same
    assert f"({as_text(min(result.events.value for result in goal.sizes))}, in" in prices
    assert f"steps ({as_text(min(result.steps.value for result in goal.sizes))}, with" in prices


def test_the_answer_finds_what_the_study_was_drawn_from():
    estimate = part_of(drawn_study()).headline.fit.b_crit
    assert estimate.low / 1.5 < CRITICAL < 1.5 * estimate.high


def test_the_answer_says_that_one_learning_rate_counts_steps():
    _, same, _ = answer(part_of(drawn_study()))
    assert "progress counts steps: to hold 0.02, the batch sizes 1, 3, 10, 32, 100, 320 and 1100 take" in same
    assert "the best being 0.03 at batch size 1 and 1 at 1100" in same


def test_the_answer_of_a_study_in_which_nothing_was_held_says_what_to_give():
    (sentence,) = answer(part_of(drawn_study(**{**FEW, "targets": (1e-9,)})))
    assert sentence.startswith("No batch size has held a target of val/quality (0.000000001)")
    assert "larger budget" in sentence


def test_the_answer_of_two_batch_sizes_says_that_a_fit_needs_three():
    first, *_ = answer(part_of(drawn_study(**{**FEW, "sizes": (1, 10)})))
    assert "no critical batch size can be told" in first
    assert "at least 3 batch sizes" in first


def test_a_best_learning_rate_at_the_edge_is_warned_of():
    *_, warning = warnings(part_of(drawn_study(**{**FEW, "rates": (0.01, 0.03)})))
    assert "at the edge of those tried, at batch size 1 (0.03), 10 (0.03) and 100 (0.03)" in warning


def test_intervals_from_few_seeds_are_warned_of():
    warning, *_ = warnings(part_of(drawn_study(**FEW)))
    assert warning.startswith("Intervals from 3 seed(s) are too narrow")


def test_a_study_with_the_best_learning_rates_inside_is_not_warned_of():
    assert warnings(part_of(drawn_study())) == []


def test_a_failed_training_is_warned_of():
    study = drawn_study()
    first = replace(study.curves[0], outcome="failed", message="no <such> thing")
    (warning,) = warnings(part_of(replace(study, curves=[first, *study.curves[1:]])))
    assert warning == "1 of 210 trainings failed. The first error: no <such> thing"


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("collapse", {"sizes": (10,)}, "two batch sizes"),
        ("to_target", {"sizes": (10,)}, "two batch sizes"),
        ("to_target", {"targets": (1e-9,)}, "two batch sizes"),
        ("against_rate", {"rates": (0.3,)}, "two learning rates"),
        ("against_rate", {"targets": (1e-9,)}, "No target was held"),
        ("seconds", {"sizes": (10,)}, "two batch sizes"),
        ("noise", {}, "was not measured"),
    ],
)
def test_a_figure_without_data_says_which_is_missing(name, changes, reason):
    with pytest.raises(NothingToDrawError, match=reason):
        FIGURES[name][1](part_of(drawn_study(**{**FEW, **changes})))


def test_a_figure_without_data_is_left_out_and_its_older_files_removed(tmp_path):
    old, pictures = (tmp_path / "figures" / f"{name}.png" for name in ("noise", "at_equal_events"))
    old.parent.mkdir()
    old.write_bytes(b"old")
    pictures.write_bytes(b"old")
    write_report(drawn_study(**{**FEW, "sizes": (10,)}), tmp_path)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not old.exists()
    assert not pictures.exists()
    assert [path.name for path in old.parent.iterdir() if "against_rate" not in path.name] == []
    assert "The gradient noise scale was not measured" in page.text
    assert "No training of this study has left pictures." in page.text


def test_texts_are_escaped(tmp_path):
    study = drawn_study(**{**FEW, "sizes": (10,), "rates": (0.3,)})
    study = replace(study, name="<b>bold</b>", metric="val/<i>", start=["<script>alert(1)</script>"])
    write_report(study, tmp_path)
    source = (tmp_path / "report.html").read_text("utf-8")
    assert "<b>" not in source
    assert "<i>" not in source
    assert "<script>alert" not in source
    assert "Study: <b>bold</b>" in Page(source).text


def test_each_value_of_a_third_axis_has_a_section(tmp_path):
    write_report(drawn_study(**{**FEW, "sizes": (10,), "rates": (0.3,)}, **{"model.width": (16, 64)}), tmp_path)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert [heading for heading in page.headings if "width" in heading] == ["width 16", "width 64"]
    assert re.findall("## .*", (tmp_path / "table.md").read_text("utf-8")) == ["## width 16", "## width 64"]


def test_a_batch_size_has_one_colour_of_its_own():
    drawn = [look.color for look in looks(SIZES).values()]
    lightness = [
        sum(int(color[k : k + 2], 16) * part for k, part in ((1, 0.21), (3, 0.72), (5, 0.07))) for color in drawn
    ]
    assert len(set(drawn)) == len(SIZES)
    assert min(np.diff(lightness)) > 10  # told apart without any colour


def test_the_last_pictures_are_side_by_side_in_a_file():
    study = with_pictures(drawn_study(sizes=(1, 3, 10, 32, 100)), side=200)
    with Image.open(BytesIO(sheet(study.frames))) as made:
        assert made.size == (4 * 200, 2 * 248)
        colors = [made.convert("RGB").getpixel((200 * column + 100, 148)) for column in range(4)]
    assert colors == [pytest.approx((120, 30 * row, 120), abs=3) for row in range(4)]


def test_a_title_that_is_too_long_does_not_run_into_the_next_picture():
    (png,) = {frames[0][1] for frames in with_pictures(drawn_study(sizes=(1,)), count=1, side=100).frames.values()}
    with Image.open(BytesIO(sheet({"1, " + "width 1, " * 20: [(1, png)], "": [(0, png)]}))) as made:
        columns = made.convert("L").crop((98, 0, 102, 48))
    assert columns.getextrema()[0] > 200  # white, but for the edge of a letter


def test_pictures_are_left_out_evenly_where_they_would_be_too_large():
    noise = np.random.default_rng(0)
    pictures = [(k, as_png(noise.integers(256, size=(40, 40, 3), dtype=np.uint8))) for k in range(20)]
    section = player({"1": pictures, "3": pictures}, largest=50_000)
    assert "Some pictures are left out" in section
    assert 25_000 < len(section) < 55_000
    assert [events for events, _ in frames_in(section)[0]] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]


def test_pictures_are_made_smaller_before_any_is_left_out():
    x, y = np.meshgrid(np.linspace(0, 9, 600), np.linspace(0, 9, 500))
    png = as_png((127 * (1 + np.sin(np.stack([x + y, x, y], axis=-1)))).astype(np.uint8))
    section = player({"1": [(k, png) for k in range(LARGEST // len(png) + 1)]})
    assert "Some pictures are left out" not in section
    assert len(section) < LARGEST


def test_all_trainings_of_a_batch_size_may_have_failed(tmp_path):
    study = drawn_study(**FEW)
    empty = np.array([0.0])
    curves = [
        replace(c, outcome="failed", message="no", steps=empty, events=empty, values=empty + np.nan, seconds=empty)
        if c.settings[SIZE] == 10
        else c
        for c in study.curves
    ]
    write_report(replace(study, curves=curves), tmp_path)
    assert "9 of 27 trainings failed" in Page((tmp_path / "report.html").read_text("utf-8")).text


def test_the_whole_batch_may_be_a_batch_size(tmp_path):
    study = drawn_study(**{**FEW, "sizes": (10, 100)})
    curves = [replace(c, settings={**c.settings, SIZE: None if c.settings[SIZE] == 100 else 10}) for c in study.curves]
    study = replace(study, curves=curves, axes={SIZE: (10, None), RATE: FEW["rates"]})
    write_report(study, tmp_path)
    assert "| all |" in (tmp_path / "table.md").read_text("utf-8")
