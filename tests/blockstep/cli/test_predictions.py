from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from blockstep.base.errors import BadInputError
from blockstep.cli.predictions import PredictionWriter


class Model(LightningModule):
    """Predicts whatever a function makes of a batch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def predict_step(self, batch, batch_idx):
        return self.function(batch)


def predict(function, dataset, columns=()):
    """The lines of the table."""
    trainer = Trainer(logger=False, accelerator="cpu", callbacks=[PredictionWriter(Path("table.csv"), columns)])
    trainer.predict(Model(function), DataLoader(dataset, batch_size=2), return_predictions=False)
    return Path("table.csv").read_text().splitlines()


def test_whole_numbers_are_written_exactly():
    lines = predict(lambda x: x[:, :1] * 0.5, torch.tensor([[16777216, 1], [16777217, 1]]))
    assert lines == ["x1,x2,y1", "16777216,1,8388608", "16777217,1,8388608"]


def test_of_a_batch_without_an_order_the_predictions_alone_are_written():
    rows = [{"x": torch.ones(3), "y": torch.zeros(1)} for _ in range(3)]
    assert predict(lambda batch: batch["x"].sum(1), rows) == ["y1", "3", "3", "3"]


def test_columns_are_named_if_there_are_as_many_as_values():
    rows = torch.zeros(1, 1)
    assert predict(lambda x: x, rows, ["a", "b"])[0] == "a,b"
    assert predict(lambda x: x, rows, ["a"])[0] == "x1,y1"


def test_the_label_is_written_where_it_is_known():
    rows = TensorDataset(torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0], [0]]), torch.ones(2, 1))
    assert predict(lambda batch: batch[0].sum(1), rows) == ["x1,x2,y1,label", "1,2,3,1", "3,4,7,0"]
    assert predict(lambda batch: batch[0].sum(1), rows, ["a", "b", "sum"])[0] == "a,b,sum,label"


def test_several_labels_of_an_event_are_numbered_and_whole_ones_are_written_as_such():
    rows = TensorDataset(torch.zeros(2, 1), torch.tensor([[1, 2], [3, 4]]))
    assert predict(lambda batch: batch[0], rows) == ["x1,y1,label1,label2", "0,0,1,2", "0,0,3,4"]


def test_what_has_no_row_for_each_event_is_no_label():
    writer = PredictionWriter(Path("table.csv"))
    for batch in ((torch.ones(3, 2), 5), (torch.ones(3, 2), torch.tensor(1.0)), [torch.ones(3, 2)]):
        writer.on_predict_batch_end(None, None, torch.ones(3, 1), batch, 0)
    writer.on_predict_end(None, None)
    assert Path("table.csv").read_text().splitlines()[0] == "x1,x2,y1"


def test_a_prediction_that_is_no_table_is_refused():
    with pytest.raises(BadInputError, match="predict_step must return a tensor with a row for each event"):
        predict(lambda x: {"y": x}, torch.zeros(2, 1))
