"""What docs/your-data.md and docs/your-model.md build is trained by the commands that they give."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from shipped import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from blockstep.runs.csv_logger import read_rows

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("your-data", "your-model")}
FILES = {"mydata": ("your-data", 0), "mymodel": ("your-model", 0), "myregressor": ("your-model", 1)}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


@pytest.fixture
def follow(batchlab, monkeypatch, tmp_path):
    """Write the pages' files, and run the commands of one of their blocks."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, (page, place) in FILES.items():
        Path(f"{name}.py").write_text(blocks(page, "python")[place])

    def run(page, place):
        for line in blocks(page, "sh")[place].replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line)
            assert program == "batchlab"
            assert batchlab(*words) == 0, line

    return run


def scores(name, key):
    rows = read_rows(Path("runs", name, "version_0", "metrics.csv"))
    return [float(row[key]) for row in rows if row.get(key)]


def write_flowers(path, rows):
    rng = np.random.default_rng(0)
    lines = ["sepal_length,sepal_width,petal_length,petal_width,species"]
    for row in range(rows):
        values = rng.normal([5 + row % 3, 3, 2 + 2 * (row % 3), 1], 0.5)
        name = ("setosa", "versicolor", "virginica")[row % 3]
        lines.append(",".join([*(f"{value:.1f}" for value in values), name]))
    Path(path).write_text("\n".join(lines) + "\n")


def test_a_table_is_trained_and_its_new_rows_are_predicted_as_the_page_says(follow):
    write_flowers("flowers.csv", 150)
    write_flowers("new.csv", 30)
    follow("your-data", 0)
    header, *rows = Path("species.csv").read_text().splitlines()
    assert header.endswith("petal_width,p_setosa,p_versicolor,p_virginica")
    assert len(rows) == 30
    assert "val/roc" in EventAccumulator("runs/flowers/version_0").Reload().Tags()["images"]


def test_the_lessons_classifier_draws_its_contour_of_a_table_of_two_features_and_two_classes(batchlab):
    rng = np.random.default_rng(0)
    rows = (f"{a:.3f},{b:.3f},{'left' if a < b else 'right'}" for a, b in rng.normal(size=(100, 2)))
    Path("sides.csv").write_text("\n".join(["a,b,side", *rows]) + "\n")
    words = ("--data=blockstep.tables.TableDataModule", "--data.path=sides.csv", "--data.label=side")
    assert batchlab("fit", *words, "--name=sides") == 0
    assert "decision/contour" in EventAccumulator("runs/sides/version_0").Reload().Tags()["images"]
    assert batchlab("predict", "--ckpt_path=last") == 0
    assert Path("predictions.csv").read_text().startswith("a,b,p_right\n")


@pytest.mark.slow
def test_the_data_module_from_nothing_trains_the_classifier_of_tables(follow):
    follow("your-data", 1)
    assert scores("waves", "val/loss")[-1] < scores("waves", "val/loss")[0]


@pytest.mark.slow
def test_the_classifier_from_nothing_learns_the_shapes(follow):
    follow("your-model", 0)
    assert scores("shapes", "val/MulticlassAccuracy")[-1] > 0.8
    assert Path("predictions.csv").read_text().splitlines()[0].endswith("x64,y1,y2,y3,label")


@pytest.mark.slow
def test_the_regressor_from_nothing_learns_the_periods(follow):
    follow("your-model", 1)
    assert scores("periods", "val/r2")[-1] > 0.5
    assert len(Path("periods.csv").read_text().splitlines()) == 1001


@pytest.mark.parametrize("name", FILES)
def test_what_is_built_from_nothing_has_no_more_than_40_lines(name):
    page, place = FILES[name]
    lines = [line for line in blocks(page, "python")[place].splitlines() if line]
    assert len(lines) <= 40
