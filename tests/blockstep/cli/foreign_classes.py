"""Models and data that know nothing of this project, as others write them with Lightning."""

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Ordinary(LightningModule):
    """What the models below have in common. It saves no hyperparameters and has no `optimizer` argument."""

    def __init__(self, net, loss):
        super().__init__()
        self.net, self.loss = net, loss

    def training_step(self, batch, batch_idx):
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self.loss(self.net(batch[0]), batch[1]))

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class ThreeClasses(Ordinary):
    """A classifier of thirty features and three classes."""

    def __init__(self, width: int = 4):
        net = nn.Sequential(nn.Linear(30, width), nn.Tanh(), nn.Linear(width, 3))
        super().__init__(net, nn.functional.cross_entropy)


class Line(Ordinary):
    """A regression with an argument that has no default, and with an optimizer that Lightning's users declare."""

    def __init__(self, inputs: int, optimizer: OptimizerCallable = torch.optim.Adam):
        super().__init__(nn.Linear(inputs, 1), nn.functional.mse_loss)
        self.save_hyperparameters()
        self.optimizer = optimizer

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


class Horizontal(Line):
    """A subclass: its parent saves hyperparameters that are no arguments of its own."""

    def __init__(self, bias: bool = True):
        super().__init__(1)
        self.net.bias.requires_grad = bias


class Assembled(Ordinary):
    """A regression with a network as its argument."""

    def __init__(self, net: nn.Module):
        super().__init__(net, nn.functional.mse_loss)
        self.save_hyperparameters()


class Table(LightningDataModule):
    """Rows of some features, with a target that `_targets` makes of them. It saves no hyperparameters."""

    def __init__(self, features, rows):
        super().__init__()
        x = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
        self.dataset = TensorDataset(x, self._targets(x))

    def train_dataloader(self):
        return DataLoader(self.dataset, batch_size=10)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class ThirtyFeatures(Table):
    """Rows of thirty features, each in one of three classes."""

    def __init__(self, rows: int = 40):
        super().__init__(30, rows)

    def _targets(self, x):
        return (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


class Values(Table):
    """Pairs of numbers, the second of which depends on the first."""

    def __init__(self, rows: int):
        super().__init__(1, rows)

    def _targets(self, x):
        return 2 * x + 1
