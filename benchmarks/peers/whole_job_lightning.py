"""The whole job by the ordinary Lightning template, with a validation, two loggers and the default checkpoints.

python whole_job_lightning.py FILE BATCH_SIZE EPOCHS    (writes lightning_logs to the current folder)
"""

import sys

import torch
import validation
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning_template import Classifier, batch_size, data
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision


class ValidatedClassifier(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.auroc, self.average_precision = BinaryAUROC(), BinaryAveragePrecision()

    def validation_step(self, batch, batch_idx):
        x, t, p = batch
        y = self.network(x)
        self.auroc.update(y, t.int())
        self.average_precision.update(y, t.int())
        self.log("val/loss", binary_cross_entropy(y, t))
        self.log("val/regret", binary_cross_entropy(y, p) - binary_cross_entropy(p, p))
        self.log("val/auroc", self.auroc)
        self.log("val/average_precision", self.average_precision)

    def on_train_epoch_end(self):
        print(f"epoch = {self.current_epoch}")


torch.manual_seed(0)
events = TensorDataset(*map(torch.from_numpy, (validation.x, validation.t, validation.p)))
trainer = Trainer(
    max_epochs=int(sys.argv[3]),
    accelerator="cpu",
    logger=[CSVLogger("."), TensorBoardLogger(".")],
    enable_model_summary=False,
    enable_progress_bar=sys.stdout.isatty(),  # as batchlab: none in a file
)
trainer.fit(
    ValidatedClassifier(),
    DataLoader(data, batch_size=batch_size),
    DataLoader(events, batch_size=1000),
)
