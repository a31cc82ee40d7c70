import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from systems import needs_compiler
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from batchlab.data import ToyDataModule
from batchlab.evaluation import Evaluation, regret
from batchlab.model import BinaryClassifier
from blockstep.blocks.row_loader import ROWS_OF_BATCH, RowLoader
from blockstep.runs.csv_logger import read_rows

SIZES = (1, 2, 999, 1001, ROWS_OF_BATCH + 1)
READING = """
import time
from pathlib import Path

from lightning.pytorch import Callback


class Reading(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        time.sleep(1.1)  # the table is written at most once a second

    def on_train_end(self, trainer, pl_module):
        rows = (Path(trainer.log_dir) / "metrics.csv").read_text().splitlines()[1:]
        Path("rows.txt").write_text(str(len(rows)))
"""
SCORES = ("val/loss", "val/regret", "val/auroc", "val/average_precision")


def events(count):
    """Rows x, t and the exact posterior."""
    data = ToyDataModule(num_validation=max(count, 2))
    data.setup("validate")
    return tuple(tensor[:count] for tensor in data.validation.tensors)


def plain_scores(logits, t, posterior):
    """The scores of all events at once, by torch's and torchmetrics' functions."""
    return {
        "val/loss": functional.binary_cross_entropy_with_logits(logits, t).item(),
        "val/regret": regret(logits, posterior).item(),
        "val/auroc": binary_auroc(torch.sigmoid(logits), t.int()).item(),
        "val/average_precision": binary_average_precision(torch.sigmoid(logits), t.int()).item(),
    }


def validate(model, loader):
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", logger=False, **options).validate(model, loader, verbose=False)[0]


def val_rows(folder):
    return [[row[key] for key in SCORES] for row in read_rows(folder / "metrics.csv") if row.get("val/loss")]


def test_regret_is_the_loss_above_the_bayes_limit():
    posterior = torch.tensor([[0.2], [0.7]])
    answer = torch.tensor([[0.5], [0.6]])
    divergence = posterior * (posterior / answer).log() + (1 - posterior) * ((1 - posterior) / (1 - answer)).log()
    assert regret(answer.logit(), posterior).item() == pytest.approx(divergence.mean().item(), rel=1e-5)


def test_regret_of_the_exact_answer_is_zero_even_where_it_is_certain():
    logits = torch.tensor([[-50.0], [50.0], [-1.0]])
    assert regret(logits, torch.sigmoid(logits)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples:UserWarning")
@pytest.mark.parametrize("count", SIZES)
def test_a_validation_logs_what_the_plain_way_gives_for_any_number_of_events(count):
    model, (x, t, posterior) = BinaryClassifier(), events(count)
    logged = validate(model, RowLoader(TensorDataset(x, t, posterior)))
    with torch.inference_mode():
        plain = plain_scores(model.network(x), t, posterior)
    assert logged == pytest.approx(plain, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("count", SIZES)
def test_logits_computed_by_parts_are_those_of_all_rows_at_once(count):
    model, (x, *_) = BinaryClassifier(), events(count)
    with torch.inference_mode():
        torch.testing.assert_close(model.forward_rows(x), model.network(x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("digits", [None, 1], ids=["distinct", "with ties"])
@pytest.mark.parametrize("count", [2, 50, 11_000])
def test_areas_of_equal_logits_are_exactly_those_of_torchmetrics(count, digits):
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, 1, generator=generator) * 3
    logits = logits if digits is None else logits.round(decimals=digits)
    t = (torch.rand(count, 1, generator=generator) < 0.3).float()
    t[0], t[1] = 0, 1
    evaluation = Evaluation()
    for part in zip(logits.split(7), t.split(7), strict=True):
        evaluation.update(*part)
    scores = evaluation.compute()
    assert scores["auroc"] == binary_auroc(torch.sigmoid(logits), t.int())
    assert scores["average_precision"] == binary_average_precision(torch.sigmoid(logits), t.int())


def test_a_batch_whose_outputs_look_like_probabilities_is_scored_as_logits():
    evaluation, t = Evaluation(), torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    logits = torch.tensor([[0.1], [0.9], [-5.0], [3.0]])
    for part in zip(logits.split(2), t.split(2), strict=True):
        evaluation.update(*part)
    assert evaluation.compute()["auroc"] == binary_auroc(torch.sigmoid(logits), t.int())


def test_an_ordinary_data_loader_gives_the_same_scores():
    model, dataset = BinaryClassifier(), TensorDataset(*events(1001))
    assert validate(model, DataLoader(dataset, batch_size=100)) == validate(model, RowLoader(dataset))


def test_validation_of_nan_weights_logs_nan_losses_as_the_plain_way_does(batchlab):
    nan = ("--model.optimizer=SGD", "--model.optimizer.lr=1e30", "--on_nan=ignore", "--data.num_validation=50")
    assert batchlab("fit", *nan, "--name=nan", "--trainer.num_sanity_val_steps=0") == 0
    ((loss, above, auroc, precision),) = (
        [float(value) for value in row] for row in val_rows(Path("runs/nan/version_0"))
    )
    logits, (_, t, posterior) = torch.full((50, 1), torch.nan), events(50)
    assert math.isnan(loss)
    assert math.isnan(above)
    plain = plain_scores(logits, t, posterior)
    assert (auroc, precision) == (plain["val/auroc"], plain["val/average_precision"])


def test_scores_are_the_same_bits_from_run_to_run_and_after_a_resume(batchlab):
    common = ("--data.num_validation=1500", "--data.batch_size=100")
    for name in ("one", "two"):
        assert batchlab("fit", *common, f"--name={name}", "--trainer.max_epochs=4") == 0
    assert batchlab("fit", *common, "--name=resumed", "--trainer.max_epochs=2") == 0
    last = "runs/resumed/version_0/checkpoints/last.ckpt"
    assert batchlab("fit", f"--ckpt_path={last}", "--trainer.max_epochs=4") == 0
    one, two, resumed = (val_rows(Path("runs", name, "version_0")) for name in ("one", "two", "resumed"))
    assert len(one) == 4
    assert one == two == resumed


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 1001])
def test_a_compiled_validation_logs_what_the_plain_way_gives(count):
    model, (x, t, posterior) = BinaryClassifier(engine="compiled"), events(count)
    logged = validate(model, RowLoader(TensorDataset(x, t, posterior)))
    with torch.inference_mode():
        plain = plain_scores(model.network(x), t, posterior)
    assert logged == pytest.approx(plain, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("limit", ["limit_val_batches", "overfit_batches"])
def test_a_fraction_of_the_validation_can_be_asked_for(limit, batchlab):
    assert batchlab("fit", "--data.num_validation=5000", f"--trainer.{limit}=0.5") == 0


def test_the_table_is_written_while_a_run_without_checkpoints_trains(batchlab):
    Path("reading.py").write_text(READING)
    words = ("--trainer.enable_checkpointing=false", "--trainer.callbacks+=reading.Reading", "--trainer.max_epochs=3")
    assert batchlab("fit", "--data.num_validation=50", "--data.batch_size=1100", *words) == 0
    assert int(Path("rows.txt").read_text()) >= 2
