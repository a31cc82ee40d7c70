"""A model and data that are not the lesson's: thirty features and three classes."""

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(LightningModule):
    """A linear classifier."""

    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.net, self.lr = nn.Linear(30, 3), lr

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0]).softmax(1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)


class Data(LightningDataModule):
    """Normally distributed features; the class is decided by two of them."""

    def train_dataloader(self):
        x = torch.randn(100, 30, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()), batch_size=10)

    val_dataloader = predict_dataloader = train_dataloader
