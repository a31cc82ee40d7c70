import pytest
import torch
from lightning.pytorch import Trainer
from small_net import tensors
from torch.utils.data import TensorDataset

from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.row_loader import RowLoader

ROWS = 23


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 10, ROWS, 100])
def test_all_rows_come_once_and_in_order(batch_size, num_workers):
    dataset = TensorDataset(*tensors(ROWS))
    loader = RowLoader(dataset, batch_size=batch_size, num_workers=num_workers)
    batches = list(loader)
    assert len(batches) == len(loader) == -(-ROWS // batch_size)
    for column, whole in zip(zip(*batches, strict=True), dataset.tensors, strict=True):
        assert torch.equal(torch.cat(column), whole)


def test_rows_are_not_copied():
    dataset = TensorDataset(*tensors(ROWS))
    ((x, _),) = RowLoader(dataset)
    assert x.data_ptr() == dataset.tensors[0].data_ptr()


def test_loaders_say_what_they_load():
    rows = TensorDataset(torch.zeros(25, 2))
    assert repr(RowLoader(rows, batch_size=10)) == "RowLoader(25 rows, 3 batches of 10)"
    assert (
        repr(BlockLoader(rows, 10, Trainer(accelerator="cpu", logger=False))) == "BlockLoader(25 rows, 3 batches of 10)"
    )
