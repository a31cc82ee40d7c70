"""What a training has learned of its table is kept in the checkpoint, and every command goes by it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from written import CLASSES, LAST, NUMBER, RUN, rows_of_classes, rows_of_numbers, write

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs.csv_logger import read_rows
from blockstep.tables import Classifier, Regressor, TableDataModule

QUIET = ("--model.width=8", "--trainer.max_epochs=2")


@pytest.fixture
def trained(example, capsys):
    """A run of two epochs on a table of classes."""
    write(*rows_of_classes())
    assert example("fit", *CLASSES, *QUIET) == 0
    capsys.readouterr()


def predictions(name="predictions.csv"):
    header, *rows = Path(name).read_text().splitlines()
    return header.split(","), np.array([[float(cell) for cell in row.split(",")] for row in rows])


@pytest.mark.usefixtures("trained")
def test_the_checkpoint_holds_names_classes_means_and_deviations():
    learned = read_checkpoint(Path(LAST))["TableDataModule"]
    assert learned["features"] == ["length", "weight"]
    assert learned["classes"] == ["cat", "dog"]
    data = TableDataModule("table.csv", "kind")
    data.setup("fit")
    assert (learned["mean"], learned["deviation"]) == (data.learned.mean, data.learned.deviation)


@pytest.mark.usefixtures("trained")
def test_new_rows_are_predicted_by_the_numbers_of_the_training(example):
    assert example("predict", f"--ckpt_path={LAST}") == 0
    names, whole = predictions()
    write(*(line.rpartition(",")[0] for line in list(rows_of_classes())[:3]), name="new.csv", header="length,weight")
    assert example("predict", f"--ckpt_path={LAST}", "--data.path=new.csv") == 0
    assert names == ["length", "weight", "p_cat", "p_dog"]
    np.testing.assert_allclose(predictions()[1], whole[:3], rtol=1e-5)


@pytest.mark.usefixtures("trained")
def test_predictions_have_the_features_as_they_are_in_the_file(example):
    write("812.5,30.25", name="new.csv", header="length,weight")
    assert example("predict", f"--ckpt_path={LAST}", "--data.path=new.csv") == 0
    assert Path("predictions.csv").read_text().splitlines()[1].startswith("812.5,30.25,")


@pytest.mark.usefixtures("trained")
def test_the_order_of_the_columns_does_not_matter(example):
    write("812.5,30.25", "450,4", name="new.csv", header="length,weight")
    write("30.25,812.5", "4,450", name="turned.csv", header="weight,length")
    for name in ("new", "turned"):
        assert example("predict", f"--ckpt_path={LAST}", f"--data.path={name}.csv", f"--output={name}.txt") == 0
    assert Path("new.txt").read_text() == Path("turned.txt").read_text()


OTHER_COLUMNS = {
    "one is missing": ("length", "must have the column 'weight'. Got the columns ['length']"),
    "one has another name": ("length,mass", "must have the column 'weight'. Got the columns ['length', 'mass']"),
    "one is new": (
        "length,weight,age",
        "must have the columns of the training, ['length', 'weight']. Got ['age'] beside",
    ),
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(("header", "message"), OTHER_COLUMNS.values(), ids=OTHER_COLUMNS)
def test_other_columns_are_refused_by_name(header, message, example, capsys):
    write(",".join("1" for _ in header.split(",")), name="new.csv", header=header)
    assert example("predict", f"--ckpt_path={LAST}", "--data.path=new.csv") == 2
    assert message in capsys.readouterr().err
    assert not Path("predictions.csv").exists()


@pytest.mark.usefixtures("trained")
def test_features_other_than_the_trainings_are_refused(example, capsys):
    assert example("predict", f"--ckpt_path={LAST}", "--data.features=[weight]") == 2
    assert "data.features must be those of the training, ['length', 'weight']" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_validation_gives_the_scores_of_the_fit(example, capsys):
    logged = [row["val/loss"] for row in read_rows(RUN / "metrics.csv") if row.get("val/loss")][-1]
    assert example("validate", f"--ckpt_path={LAST}") == 0
    printed = re.search(r"val/loss\W+([\d.]+)", capsys.readouterr().out)[1]
    assert float(printed) == pytest.approx(float(logged), rel=1e-5)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_fraction_of_a_changed_table_is_refused(command, example, capsys):
    write(*rows_of_classes(61))
    assert example(command, f"--ckpt_path={LAST}") == 2
    said = capsys.readouterr().err
    assert "must have the content that the training has read" in said
    assert "to evaluate other rows, name a file as data." in said


@pytest.mark.usefixtures("trained")
def test_all_rows_of_another_file_are_tested(example, capsys):
    write(*rows_of_classes(9), name="other.csv")
    assert example("test", f"--ckpt_path={LAST}", "--data.test=other.csv") == 0
    assert "test/accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_a_run_goes_on_with_its_table(example):
    assert example("fit", f"--ckpt_path={LAST}", "--trainer.max_epochs=3") == 0
    assert read_checkpoint(Path(LAST))["epoch"] == 3


@pytest.mark.usefixtures("trained")
def test_a_run_that_goes_on_equals_one_that_was_never_interrupted(example):
    assert example("fit", f"--ckpt_path={LAST}", "--trainer.max_epochs=4") == 0
    assert example("fit", *CLASSES, *QUIET, "--trainer.max_epochs=4", "--name=whole") == 0
    one, other = (read_checkpoint(path) for path in (Path(LAST), Path(LAST.replace("runs/run", "runs/whole"))))
    assert all(weights.equal(other["state_dict"][name]) for name, weights in one["state_dict"].items())


@pytest.mark.usefixtures("trained")
def test_a_run_does_not_go_on_with_a_changed_table(example, capsys):
    before = Path(LAST).read_bytes()
    write(*rows_of_classes(61))
    assert example("fit", f"--ckpt_path={LAST}", "--trainer.max_epochs=3") != 0
    assert "data.path must be as it was when the training was started" in capsys.readouterr().err
    assert Path(LAST).read_bytes() == before


@pytest.mark.usefixtures("trained")
@pytest.mark.filterwarnings("ignore:The training data are not those of the checkpoint")
def test_training_goes_on_with_another_table_by_the_numbers_of_the_first(example):
    learned = read_checkpoint(Path(LAST))["TableDataModule"]
    write(*rows_of_classes(90), name="more.csv")
    words = ("--data.path=more.csv", "--allow_changes=true", "--trainer.max_epochs=3")
    assert example("fit", f"--ckpt_path={LAST}", *words) == 0
    again = RUN.with_name("version_1") / "checkpoints" / "last.ckpt"
    assert read_checkpoint(again)["TableDataModule"]["mean"] == learned["mean"]


@pytest.mark.usefixtures("trained")
def test_a_checkpoint_is_used_in_python(tmp_path):
    shutil.copy("table.csv", tmp_path / "moved.csv")
    model = Classifier.load_from_checkpoint(LAST)
    data = TableDataModule.load_from_checkpoint(LAST, path="moved.csv")
    (batch,) = data.predict_dataloader()
    assert model.predict_step(batch).shape == (60, 2)


def test_a_table_is_not_read_by_numbers_of_its_own_in_an_evaluation():
    write(*rows_of_classes())
    data = TableDataModule("table.csv", "kind")
    data.setup("predict")
    with pytest.raises(Exception, match="train first, or give the checkpoint"):
        data.predict_dataloader()


def test_a_number_is_predicted_in_its_own_unit(example):
    write(*rows_of_numbers(200))
    words = ("--trainer.max_epochs=40", "--data.batch_size=8", "--model.optimizer.lr=0.01")
    assert example("fit", *NUMBER, *words) == 0
    assert example("predict", f"--ckpt_path={LAST}") == 0
    names, rows = predictions()
    assert names == ["length", "weight", "predicted_kind"]
    true = 20000 + 50 * rows[:, 0] + 3000 * rows[:, 1]
    assert np.abs(rows[:, 2] - true).mean() < 1000


def test_a_regressor_has_its_unit_after_loading(example):
    write(*rows_of_numbers())
    assert example("fit", *NUMBER) == 0
    learned = read_checkpoint(Path(LAST))["TableDataModule"]
    model = Regressor.load_from_checkpoint(LAST)
    assert [model.label_mean, model.label_deviation] == [learned["label_mean"], learned["label_deviation"]]
