"""A small network, its data and what a callback saw, for tests of blocks without an application."""

import torch
from lightning.pytorch import Callback, LightningDataModule
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.training import BlockTraining

ROWS = 110


class Net(BlockTraining):
    """A small classifier; `make` gives what `configure_optimizers` returns."""

    def __init__(self, make=None, norm=False):
        super().__init__()
        torch.manual_seed(0)
        layers = [torch.nn.Linear(2, 8), *([torch.nn.BatchNorm1d(8)] if norm else []), torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1), torch.nn.Sigmoid())
        self.make = make or (lambda parameters: SGD(parameters, lr=0.1))

    def batch_loss(self, batch):
        x, t = batch
        return torch.nn.functional.binary_cross_entropy(self.net(x), t)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.batch_loss(batch))

    def configure_optimizers(self):
        return self.make(list(self.parameters()))


def tensors(rows=ROWS):
    """Random x (rows, 2), and t (rows, 1) that depends on the first column, with noise."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 2, generator=generator)
    return x, (x[:, :1] + torch.randn(rows, 1, generator=generator) > 0).float()


class Data(LightningDataModule):
    """`tensors(rows)` in blocks; `options` are for BlockLoader."""

    def __init__(self, batch_size=10, rows=ROWS, **options):
        super().__init__()
        self.batch_size, self.dataset, self.options = batch_size, TensorDataset(*tensors(rows)), options

    def train_dataloader(self):
        return BlockLoader(self.dataset, self.batch_size, self.trainer, **self.options)

    def val_dataloader(self):
        return DataLoader(self.dataset, batch_size=ROWS)


class Probe(Callback):
    """What a callback sees of the training."""

    def __init__(self):
        self.losses, self.sizes, self.last_steps, self.epochs, self.val_steps, self.means = [], [], [], [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        losses = outputs.get("losses", outputs["loss"].view(1))
        self.losses += losses.tolist()
        self.sizes.append(len(losses))
        self.last_steps.append(batch_idx)

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.val_steps.append(trainer.global_step)

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(len(self.losses))


def same_weights(one, other):
    """Whether two modules have exactly the same parameters."""
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
