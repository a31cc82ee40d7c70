import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from batchlab.data import ToyDataModule
from batchlab.epoch_report import ContourReport, mesh_probabilities
from batchlab.model import BinaryClassifier


def fit(report, folder, callbacks=(), model=None, **settings):
    """Trains on few events; returns what TensorBoard reads of it."""
    trainer = Trainer(
        **{
            "accelerator": "cpu",
            "callbacks": [report, *callbacks],
            "logger": TensorBoardLogger(folder, default_hp_metric=False),
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
        }
        | settings
    )
    trainer.fit(model or BinaryClassifier(), ToyDataModule(batch_size=100, num_validation=50))
    reader = EventAccumulator(trainer.log_dir)
    return reader.Reload()


def test_contours_are_drawn_when_due_and_after_the_last_epoch(tmp_path):
    reader = fit(ContourReport(figure_every_n_epochs=2), tmp_path, max_epochs=5)
    assert [image.step for image in reader.Images("decision/contour")] == [22, 44, 55]


def test_the_last_contour_is_not_drawn_twice(tmp_path):
    reader = fit(ContourReport(figure_every_n_epochs=2), tmp_path, max_epochs=2)
    assert [image.step for image in reader.Images("decision/contour")] == [22]


def test_an_early_stop_is_the_last_epoch_too(tmp_path):
    stop = EarlyStopping("val/loss", patience=2, min_delta=1e9)
    reader = fit(ContourReport(), tmp_path, [stop], max_epochs=9)
    assert [image.step for image in reader.Images("decision/contour")] == [11, 22, 33]


@pytest.mark.slow
def test_contours_differ_as_the_model_learns(tmp_path):
    reader = fit(ContourReport(figure_every_n_epochs=1), tmp_path, max_epochs=2)
    first, second = reader.Images("decision/contour")
    assert first.encoded_image_string != second.encoded_image_string
    assert (first.width, first.height) == (second.width, second.height) == (600, 500)


def test_the_events_alone_are_drawn_once(tmp_path):
    reader = fit(ContourReport(), tmp_path, max_epochs=2)
    assert len(reader.Images("training_events")) == 1


def test_contours_are_drawn_on_the_scale_that_is_asked_for(tmp_path):
    readers = [fit(ContourReport(figure_scale=scale), tmp_path / scale, max_epochs=1) for scale in ("own", "common")]
    for tag in ("decision/contour", "decision/exact_posterior"):
        own, common = (reader.Images(tag)[0].encoded_image_string for reader in readers)
        assert own != common


def test_figures_are_saved_as_png_where_asked(tmp_path):
    fit(ContourReport(save_png=True), tmp_path, max_epochs=1)
    names = sorted(path.name for path in tmp_path.rglob("*.png"))
    assert names == [
        "decision_contour_step_11.png",
        "decision_exact_posterior_step_0.png",
        "training_events_step_0.png",
    ]


@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
def test_figures_of_an_earlier_run_are_not_replaced(tmp_path, capsys):
    def fit_there(model):
        logger = CSVLogger(tmp_path, name="", version="")
        quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        quiet |= {"num_sanity_val_steps": 0, "log_every_n_steps": 1}
        report = ContourReport(save_png=True)
        trainer = Trainer(accelerator="cpu", max_epochs=1, logger=logger, callbacks=report, **quiet)
        trainer.fit(model, ToyDataModule(batch_size=1100, num_validation=50))
        return {path: path.read_bytes() for path in tmp_path.rglob("*.png")}

    first = fit_there(BinaryClassifier())
    assert "is there already" not in capsys.readouterr().err
    assert fit_there(BinaryClassifier()) == first
    assert "is there already" in capsys.readouterr().err


def test_figures_are_saved_in_the_runs_own_folder_whichever_logger_it_has(batchlab, tmp_path):
    words = ["fit", "--trainer.max_epochs=1", "--data.num_validation=50", "--epoch_report.save_png=true"]
    words += ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=own", "--trainer.logger.name="]
    for _ in range(2):
        assert batchlab(*words) == 0
    folders = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert folders == {f"runs/num_validation_50/version_{number}/figures" for number in (0, 1)}


@pytest.mark.slow
def test_drawing_changes_no_result(tmp_path):
    models = []
    for every in (1, 100):
        torch.manual_seed(0)
        models.append(BinaryClassifier())
        fit(ContourReport(figure_every_n_epochs=every), tmp_path, model=models[-1], max_epochs=3)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(ours, theirs)


def test_probabilities_are_taken_in_eval_mode_and_every_mode_is_put_back():
    model = BinaryClassifier(hidden=4, depth=1)
    model.network.append(torch.nn.Dropout(0.9))
    model.train()
    model.network[0].eval()
    assert (mesh_probabilities(model) == mesh_probabilities(model)).all()
    assert (model.training, model.network[-1].training, model.network[0].training) == (True, True, False)


@pytest.mark.parametrize("name", ["print_every_n_epochs", "figure_every_n_epochs"])
def test_reporting_every_zeroth_epoch_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be at least 1\. Got 0 instead\."):
        ContourReport(**{name: 0})


class Regression(BinaryClassifier):
    """Predicts a number and its error."""

    def predict_step(self, batch, batch_idx=0):
        return self(batch[0]).expand(-1, 2)


def test_a_model_that_predicts_something_else_is_trained_without_pictures(tmp_path):
    reader = fit(ContourReport(), tmp_path, model=Regression(), max_epochs=1)
    assert reader.Tags()["images"] == []
