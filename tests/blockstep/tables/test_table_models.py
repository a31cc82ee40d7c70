import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from engines import needs_compiled_engine
from systems import needs_compiler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchmetrics.functional.classification import multiclass_auroc, multiclass_average_precision
from torchmetrics.functional.regression import mean_absolute_error, r2_score
from written import CLASSES, NUMBER, RUN, rows_of_classes, rows_of_numbers, write

from blockstep.cli.application import Application
from blockstep.runs.csv_logger import read_rows
from blockstep.tables import Classifier, Regressor
from blockstep.tables.curves import Curves
from blockstep.tables.figures import classification_figures, regression_figures

FIGURES = {
    "classes": (CLASSES, rows_of_classes, ["roc", "precision_recall", "reliability", "scores_by_class"]),
    "number": (NUMBER, rows_of_numbers, ["predicted_over_true"]),
}
KEYS = {
    "classes": (CLASSES, rows_of_classes, ["accuracy", "auroc", "average_precision", "f1", "loss"]),
    "number": (NUMBER, rows_of_numbers, ["loss", "mae", "r2", "rmse"]),
}
WRONG = {
    "too few features": (
        (*CLASSES, "--model.in_features=1"),
        "model.in_features must be 2: the table has length, weight.",
    ),
    "too many classes": ((*CLASSES, "--model.classes=3"), "model.classes must be 2: the table has cat, dog. Got 3"),
    "a regressor of classes": ((*CLASSES[:3], *NUMBER[4:]), "a Regressor needs a label that is a number"),
}


def some_outputs(rows=400, classes=3):
    """Logits in steps, so that some are equal, and labels that depend on them."""
    torch.manual_seed(0)
    logits = torch.randn(rows, classes).round(decimals=1)
    return logits, (logits + torch.randn(rows, classes)).argmax(dim=1)


@pytest.mark.parametrize(("words", "rows", "names"), FIGURES.values(), ids=FIGURES)
def test_figures_are_drawn_after_epochs_1_2_4_and_the_last(words, rows, names, example):
    write(*rows())
    assert example("fit", *words, "--trainer.max_epochs=5") == 0
    events = EventAccumulator(str(RUN), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == [f"val/{name}" for name in names]
    assert [image.step // 42 for image in events.Images(f"val/{names[0]}")] == [1, 2, 4, 5]


@pytest.mark.parametrize(("words", "rows", "names"), KEYS.values(), ids=KEYS)
def test_scores_that_people_expect_are_logged(words, rows, names, example):
    write(*rows())
    assert example("fit", *words) == 0
    logged = {key for row in read_rows(RUN / "metrics.csv") for key in row if key.startswith("val/")}
    assert sorted(logged) == [f"val/{name}" for name in names]


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_a_model_for_another_table_is_refused(words, message, example, capsys):
    write(*rows_of_classes())
    assert example("fit", *words) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_classifier_of_numbers_is_refused(example, capsys):
    write(*rows_of_numbers())
    assert example("fit", *CLASSES, "--data.target=number") == 2
    assert "a Classifier needs a label that is a class" in capsys.readouterr().err


@pytest.mark.slow
@needs_compiler
@needs_compiled_engine
@pytest.mark.parametrize(("words", "rows", "names"), KEYS.values(), ids=KEYS)
def test_both_models_are_compiled_and_agree_with_eager(words, rows, names, example, capsys):
    write(*rows())
    for engine in ("eager", "compiled"):
        assert example("fit", *words, f"--model.engine={engine}", "--trainer.max_epochs=3") == 0
    assert "not compiled" not in capsys.readouterr().out
    eager, compiled = (
        [float(row["train/loss"]) for row in read_rows(RUN.with_name(name) / "metrics.csv") if row.get("train/loss")]
        for name in ("version_0", "version_1")
    )
    assert eager == pytest.approx(compiled, rel=1e-4)


def test_an_application_may_have_tables_as_its_own_classes():
    defaults = {"data.path": "table.csv", "data.label": "kind", "model.in_features": 2, "model.classes": 2}
    mine = Application("mine", "blockstep.tables.Classifier", "blockstep.tables.TableDataModule", defaults=defaults)
    write(*rows_of_classes())
    assert mine.main(["fit", "--trainer.accelerator=cpu", "--trainer.max_epochs=1"]) == 0
    assert mine.main(["predict", "--ckpt_path=last"]) == 0


def test_a_picture_that_fails_does_not_end_the_training(example, capsys, monkeypatch):
    def fail(*_):
        raise ValueError("no picture")

    monkeypatch.setattr(Classifier, "figures", fail)
    write(*rows_of_classes())
    assert example("fit", *CLASSES) == 1
    assert "Pictures.on_train_epoch_end failed: ValueError: no picture" in capsys.readouterr().err


def test_the_areas_under_the_curves_are_those_of_torchmetrics():
    logits, labels = some_outputs()
    scores = Classifier(2, 3).scores(logits, labels[:, None].float())
    p = logits.softmax(dim=1).double()
    assert scores["auroc"].item() == pytest.approx(multiclass_auroc(p, labels, 3).item(), rel=1e-6)
    assert scores["average_precision"].item() == pytest.approx(
        multiclass_average_precision(p, labels, 3).item(), rel=1e-6
    )


def test_a_class_without_rows_has_no_curves_and_no_warning():
    logits, labels = some_outputs(classes=4)
    logits[:, 3] -= 9
    labels = logits[:, :3].argmax(dim=1)
    curves = Curves(logits.softmax(dim=1), labels)
    assert curves.classes == [0, 1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.9 < curves.auroc() <= 1


def test_nan_has_no_curves_and_no_figures():
    curves = Curves(torch.full((4, 2), torch.nan), torch.tensor([0, 1, 0, 1]))
    assert np.isnan(curves.auroc())
    assert classification_figures(curves, ["a", "b"]) == {}
    assert regression_figures(torch.full((4, 1), torch.nan), torch.ones(4, 1)) == {}


def test_probabilities_that_are_right_as_often_as_they_say_are_calibrated():
    p = torch.tensor([[0.75, 0.25]] * 4)
    assert Curves(p, torch.tensor([0, 0, 0, 1])).reliability().error == pytest.approx(0)
    assert Curves(p, torch.tensor([1, 1, 1, 0])).reliability().error == pytest.approx(0.5)


def test_many_classes_are_drawn_as_ten():
    logits, labels = some_outputs(classes=12)
    figures = classification_figures(Curves(logits.softmax(dim=1), labels), [f"class {k}" for k in range(12)])
    assert len(figures["roc"].axes[0].get_lines()) == 11  # and the diagonal
    assert len(figures["scores_by_class"].axes) == 10


def test_scores_of_a_regression_are_in_the_labels_unit():
    torch.manual_seed(0)
    true, predicted = torch.randn(50, 1), torch.randn(50, 1)
    model = Regressor(2)
    model.label_mean, model.label_deviation = 100.0, 7.0
    scores = model.scores(predicted, true)
    mae = mean_absolute_error(model.in_unit(predicted), model.in_unit(true))
    assert scores["mae"].item() == pytest.approx(mae.item(), rel=1e-4)
    assert scores["r2"].item() == pytest.approx(r2_score(predicted, true).item(), rel=1e-4)


def test_a_regressions_points_lie_over_their_true_values():
    (figure,) = regression_figures(torch.tensor([[1.0], [4.0]]), torch.tensor([[2.0], [3.0]])).values()
    (points,) = figure.axes[0].collections
    assert points.get_offsets().tolist() == [[2, 1], [3, 4]]
