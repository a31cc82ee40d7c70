"""An ordinary Lightning template: a DataLoader, metrics and `self.log` in each step, progress bar, TensorBoard.

python lightning_template.py FILE BATCH_SIZE [EPOCHS]
"""

import tempfile
import time
import warnings

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from protocol import events, serve
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
x, t, batch_size = events()
data = TensorDataset(torch.from_numpy(x), torch.from_numpy(t))


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(2, 64), nn.ReLU()]
        for _ in range(4):
            layers += [nn.Linear(64, 64), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Linear(64, 1), nn.Sigmoid())
        self.mean, self.accuracy = MeanMetric(), BinaryAccuracy()

    def training_step(self, batch, batch_idx):
        x, t = batch
        y = self.network(x)
        loss = nn.functional.binary_cross_entropy(y, t)
        self.mean(loss.detach())
        self.accuracy(y, t.int())
        self.log("train/loss", self.mean, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Clock(Callback):
    def __init__(self) -> None:
        self.seconds = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer, pl_module):
        self.seconds.append(time.perf_counter() - self.start)


def epochs(count: int) -> list[float]:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        logger = TensorBoardLogger(folder)
        trainer = Trainer(
            max_epochs=count + 1, accelerator="cpu", callbacks=[clock], logger=logger, enable_model_summary=False
        )
        trainer.fit(Classifier(), DataLoader(data, batch_size=batch_size))
    return clock.seconds[1:]  # without the first epoch, which includes the set-up


if __name__ == "__main__":
    serve(epochs)
