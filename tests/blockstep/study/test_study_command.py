import csv
import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from example.cli import APPLICATION
from example.model import Classifier
from filelock import FileLock
from small_studies import FOLDER, WORDS, outcomes, rows, trainings

pytestmark = pytest.mark.slow


@pytest.fixture
def study(example):
    """A study of the example with one seed unless told otherwise: words in, exit status out."""
    return lambda *words: example("study", *WORDS, "--seeds=1", *words)


def test_a_study_has_a_row_for_each_checkpoint_of_each_training(study):
    assert study() == 0
    assert sorted(outcomes()) == [
        f"batch_size_{size}-lr_{lr}-seed_0-data_0" for size, lr in ((10, "0.3"), (10, "3"), (100, "0.3"), (100, "3"))
    ]
    first, second, *_ = rows()
    assert (first["step"], first["events"], second["step"], second["events"]) == ("0", "0", "1", "10")


def test_it_says_before_how_many_trainings_and_steps_there_are(study, capsys):
    assert study() == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("4 trainings over data.batch_size, model.optimizer.lr and seeds: at most 96 steps and ")


def test_the_same_words_train_nothing_twice(study):
    assert study() == 0
    before, table = trainings(), rows()
    assert study() == 0
    assert (trainings(), rows()) == (before, table)


def test_more_seeds_and_values_add_trainings(example):
    assert example("study", *WORDS, "--seeds=1") == 0
    before = trainings()
    more = [word.replace("=10,100", "=10,50,100") for word in WORDS]
    assert example("study", *more, "--seeds=2") == 0
    after = trainings()
    assert len(after) == 12
    assert before.items() <= after.items()


def test_a_training_that_was_lost_is_made_again_with_the_same_digits(study):
    assert study() == 0
    table = rows()
    next((FOLDER / "trainings").glob("*.json")).unlink()
    assert study() == 0
    assert rows() == table


def test_a_third_axis_is_any_other_key(study):
    assert study("--vary=model.width=4,8") == 0
    assert {row["model.width"] for row in rows()} == {"4", "8"}
    assert len(outcomes()) == 8


def test_classes_can_be_an_axis_beside_their_arguments(study):
    assert study("--vary=model.optimizer=SGD,Adam") == 0
    assert {row["model.optimizer"] for row in rows()} == {"SGD", "Adam"}


def test_seeds_of_the_data_are_combined_with_those_of_the_weights(study):
    assert study("--seeds=2", "--data-seeds=2") == 0
    assert {(row["seed_everything"], row["data.seed"]) for row in rows()} == {(a, b) for a in "01" for b in "01"}


def test_a_training_that_diverges_is_a_row_that_says_so(example):
    words = [word.replace("=.3,3", "=.3,1e30") for word in WORDS]
    assert example("study", *words, "--seeds=1") == 0
    assert outcomes()["batch_size_10-lr_1e+30-seed_0-data_0"] == "diverged"


def test_a_training_that_fails_is_a_row_that_says_so_and_is_tried_again(example, monkeypatch):
    step = Classifier.batch_loss

    def fails_late(self, batch):
        late = self.training and self.trainer.global_step > 5
        if late and len(batch[0]) == 100 and self.optimizer.keywords["lr"] > 1:
            raise RuntimeError("the disk is on fire")
        return step(self, batch)

    monkeypatch.setattr(Classifier, "batch_loss", fails_late)
    assert example("study", *WORDS, "--seeds=1", "--targets=.3") == 0
    run = "batch_size_100-lr_3-seed_0-data_0"
    assert outcomes()[run] == "failed"
    (message,) = {row["message"] for row in rows() if row["run"] == run}
    assert message.startswith("RuntimeError: the disk is on fire")
    monkeypatch.setattr(Classifier, "batch_loss", step)
    assert example("study", *WORDS, "--seeds=1", "--targets=.3") == 0
    assert outcomes()[run] != "failed"


def test_settings_of_every_training_are_written_as_for_fit(study):
    assert study("--model.width", "4", "--seed_everything", "7") == 0
    assert {row["seed_everything"] for row in rows()} == {"7"}


def test_the_report_can_be_made_of_what_is_finished(study, example):
    assert study() == 0
    next((FOLDER / "trainings").glob("*.json")).unlink()
    (FOLDER / "report.html").unlink()
    assert example("study", "--report") == 0
    assert len(outcomes()) == 3
    assert (FOLDER / "report.html").exists()


def test_a_study_is_not_mixed_with_another_one(study, capsys):
    assert study() == 0
    table = (FOLDER / "study.csv").read_bytes()
    assert study("--model.width=4") == 2
    assert "--name must be another one for another study" in capsys.readouterr().err
    assert (FOLDER / "study.csv").read_bytes() == table


def test_a_folder_that_holds_something_else_is_left_alone(study, capsys):
    FOLDER.mkdir(parents=True)
    (FOLDER / "mine.txt").write_text("mine")
    assert study() == 2
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in FOLDER.iterdir()] == ["mine.txt"]


def test_a_study_is_trained_by_one_process(study, capsys):
    assert study() == 0
    next((FOLDER / "trainings").glob("*.json")).unlink()
    with FileLock(FOLDER / ".lock"):
        assert study() == 2
    assert "must be trained by one process" in capsys.readouterr().err


def test_a_damaged_file_of_a_training_is_replaced(study):
    assert study() == 0
    table = rows()
    for path in (FOLDER / "trainings").glob("*.json"):
        path.write_text("{")
    assert study() == 0
    assert rows() == table


def test_kept_trainings_are_runs_that_end_where_the_study_has_ended(study):
    assert study("--keep=all") == 0
    for run in outcomes():
        last = [row for row in rows() if row["run"] == run][-1]
        metrics = (FOLDER / run / "version_0" / "metrics.csv").read_text().splitlines()
        assert int(metrics[-1].split(",")[0]) == int(last["step"]) - 1
    assert study("--keep=all") == 0
    assert not list(FOLDER.glob("*/version_1"))


def test_the_best_trainings_of_each_further_value_are_kept(study):
    assert study("--vary=model.width=4,8", "--keep=best") == 0
    kept = {path.parent.name for path in FOLDER.glob("*/version_0")}
    assert {name.split("-")[2] for name in kept} == {"width_4", "width_8"}
    assert len(kept) == 4


def test_checkpoints_and_rules_are_keys_of_the_study(study, capsys):
    assert study("--per-decade=3", "--further=1", "--diverged=4") == 0
    mark = json.loads((FOLDER / "blockstep_study.json").read_text())["definition"]
    assert (mark["per_decade"], mark["further"], mark["diverged"]) == (3, 1, 4.0)
    steps = {int(row["step"]) for row in rows()}
    assert steps <= {0, 1, 2, 5, 8, 10, 22, 40}
    page = (FOLDER / "report.html").read_text()
    assert "at the next one: a" in page
    assert "log-spaced, 3 from one power of ten" in page
    assert "by more than 4 times the start's size" in unescape(page)
    assert study("--per-decade=4", "--further=1", "--diverged=4") == 2
    assert "holds one with per_decade 3. Got 4 instead" in capsys.readouterr().err


def test_the_table_says_that_a_training_was_timed_alone(study):
    assert study() == 0
    with (FOLDER / "study.csv").open(newline="") as file:
        assert {row["timed_alone"] for row in csv.DictReader(file)} == {"yes"}


def test_an_application_may_have_a_study_of_its_own():
    vary = {"data.batch_size": [10, 100], "model.optimizer.lr": [0.3]}
    given = {"vary": vary, "targets": [0.01], "budget": {10: 1, 100: 2}, "settings": {"data.num_training": 200}}
    assert replace(APPLICATION, study=given).main(["study", "--seeds=1"]) == 0
    assert {row["run"]: row["step"] for row in rows()} == {
        "batch_size_10-lr_0.3-seed_0-data_0": "20",
        "batch_size_100-lr_0.3-seed_0-data_0": "8",  # the fewest steps of a budget
    }


def test_the_folder_says_what_it_is(study):
    assert study("--name=mine") == 0
    mark = json.loads(Path("runs/mine/blockstep_study.json").read_text())
    assert mark["about"].startswith("A study of blockstep.")
    assert mark["definition"]["metric"] == "val/loss"
