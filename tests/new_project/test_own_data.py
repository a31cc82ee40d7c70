"""A new project with somebody else's table and model, written as its pages say: it passes all of its checks."""

import csv
import re
import shutil
import subprocess
import sys
import time

import pytest
from made import environment_of, run_in
from sklearn.datasets import load_breast_cancer
from test_own_checks import CHECKS

pytestmark = pytest.mark.slow

TABLE = [
    "--data=blockstep.tables.TableDataModule", "--data.path=cancer.csv", "--data.label=kind",
    "--model=blockstep.tables.Classifier", "--model.in_features=30", "--model.classes=2",
]  # fmt: skip
WAVES = ["--data=mydata.Waves", "--model=mymodel.Shapes"]
RUNS = {
    "the table": [*TABLE, "--data.batch_size=1", "--trainer.max_epochs=20"],
    "three classes": [*WAVES, "--trainer.max_epochs=30"],
}
STUDIES = {
    "the table": [*TABLE, "--vary=model.optimizer.lr=.003,.03", "--targets=.4"],
    "three classes": [*WAVES, "--vary=model.lr=.03,.3", "--targets=.9"],
}
NEW_ROWS = 19

CONTRACT = """
from pathlib import Path

from mydata import Waves
from mymodel import Shapes
from blockstep.tables import Classifier, TableDataModule
from blockstep.testing import rules_as_tests

TABLE = TableDataModule(str(Path(__file__).parents[1] / "cancer.csv"), label="kind")

test_rules_of_the_table = rules_as_tests(TABLE, Classifier(in_features=30, classes=2))
test_rules_of_three_classes = rules_as_tests(Waves(), Shapes())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with a table of scikit-learn's and the model and data of its own pages."""
    from batchlab.cli import main

    folder = tmp_path_factory.mktemp("made") / "own"
    assert main(["new", str(folder), "--name=quark_finder", "--example=table"]) == 0
    table = load_breast_cancer()
    rows = [[*map(repr, map(float, x)), table.target_names[t]] for x, t in zip(table.data, table.target, strict=True)]
    names = [name.replace(" ", "_") for name in table.feature_names]
    write(folder / "cancer.csv", [*names, "kind"], rows[NEW_ROWS:])
    write(folder / "new.csv", names, [row[:-1] for row in rows[:NEW_ROWS]])
    for page, place, name in (("your-data", 0, "mydata"), ("your-model", 0, "mymodel")):
        block = re.findall(r"```python\n(.*?)```", (folder / "docs" / f"{page}.md").read_text("utf-8"), re.DOTALL)[
            place
        ]
        (folder / f"{name}.py").write_text(block, "utf-8")
    (folder / "tests" / "test_rules.py").write_text(CONTRACT.lstrip(), "utf-8")
    return folder


def write(path, names, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.mark.parametrize("check", ["lint", "form", "rooms", "types"])
def test_a_project_with_a_table_and_a_model_of_ones_own_passes_its_checks(check, made):
    run_in(made, *CHECKS[check])


def test_what_the_pages_build_is_typed(made):
    run_in(made, "-m", "mypy", "mydata.py", "mymodel.py")


def test_the_table_and_the_model_keep_the_rules(made):
    printed = run_in(made, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_rules.py")
    assert re.search(r"\d\d passed", printed)


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_a_killed_run_of_ones_own_goes_on_exactly_and_predicts_new_rows(words, made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "own")
    main = [sys.executable, "-m", "quark_finder"]
    run_in(folder, *main[1:], "fit", *words, "--name=whole", "--trainer.default_root_dir=others")
    last = folder / "runs" / "killed" / "version_0" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen([*main, "fit", *words, "--name=killed"], cwd=folder, env=environment_of(folder))
    while process.poll() is None and not last.exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0  # it was not over
    run_in(folder, *main[1:], "fit", "--ckpt_path=last")
    compare = "from pathlib import Path; from compared import assert_same; assert_same(Path('{}'), Path('{}'))"
    whole, killed = "others/whole/version_0", "runs/killed/version_0"
    run_in(folder, "-c", f"import sys; sys.path.append('tests'); {compare.format(whole, killed)}")
    of_table = words[0] == TABLE[0]
    new = ["--data.path=new.csv"] if of_table else ["--data.seed=7"]
    run_in(folder, *main[1:], "predict", "--ckpt_path=last", *new, "--output=predicted.csv")
    header, *rows = (folder / "predicted.csv").read_text("utf-8").splitlines()
    assert len(rows) == (NEW_ROWS if of_table else 1000)
    assert header.endswith(",p_benign,p_malignant" if of_table else ",y1,y2,y3,label")


@pytest.mark.parametrize("words", STUDIES.values(), ids=STUDIES)
def test_a_study_of_ones_own_says_which_batch_size(words, made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "own")
    sizes = "--vary=data.batch_size=5,50,200"
    printed = run_in(folder, "-m", "quark_finder", "study", *words, sizes, "--budget=40", "--seeds=2")
    assert "12 trainings over data.batch_size, model." in printed
    assert "events is the critical batch size" in (folder / "runs" / "study" / "report.html").read_text("utf-8")
    with (folder / "runs" / "study" / "study.csv").open(newline="") as file:
        held = {row["data.batch_size"] for row in csv.DictReader(file) if row["outcome"] == "held"}
    assert held == {"5", "50", "200"}
