"""Extensions that each break one rule."""

import itertools
import random

import numpy as np
import torch
from example.data import Points
from example.model import Classifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

BCE = nn.functional.binary_cross_entropy_with_logits
STEPS_OF_THE_PROCESS = itertools.count()


class DrawnAnew(Points):
    def setup(self, stage):
        self.seed = int(np.random.default_rng().integers(1 << 30))
        super().setup(stage)


class SplitByTheGlobalSeed(Points):
    def setup(self, stage):
        super().setup(stage)
        self.validation, self.test = random_split(self.test, [0.5, 0.5])


class AddsInSetup(Points):
    def setup(self, stage):
        before = getattr(self, "validation", None)
        super().setup(stage)
        if before:
            both = zip(before.tensors, self.validation.tensors, strict=True)
            self.validation = TensorDataset(*map(torch.cat, both))


class ShufflesValidation(Points):
    def val_dataloader(self):
        return DataLoader(self.validation, batch_size=100, shuffle=True)


class DoublesInValidation(Points):
    def val_dataloader(self):
        x, t = self.validation.tensors
        return DataLoader(TensorDataset(x.double(), t), batch_size=100)


class HoldsNaN(Points):
    def setup(self, stage):
        super().setup(stage)
        self.training.tensors[0][7, 1] = torch.nan


class ForgetsItsState(Points):
    def setup(self, stage):
        super().setup(stage)
        self.mean = self.training.tensors[0].mean(0)

    def state_dict(self):
        return {"mean": getattr(self, "mean", None)}


class StoresAnObject(Points):
    def state_dict(self):
        return {"made_by": random.Random(0)}


class HasNoGradient(Classifier):
    def batch_loss(self, batch):
        return super().batch_loss(batch).detach()


class HasAnUnusedLayer(Classifier):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)


class ClimbsTheLoss(Classifier):
    def batch_loss(self, batch):
        loss = super().batch_loss(batch)
        return 2 * loss.detach() - loss


class DrawsItsOwnNoise(Classifier):
    def batch_loss(self, batch):
        x, t = batch
        return BCE(self(x + float(np.random.default_rng().normal())), t)


class SavesNoArgument(Classifier):
    def __init__(self, layers):
        super().__init__()
        self.hparams.clear()
        self.network = nn.Sequential(nn.Linear(2, 4), *(nn.Linear(4, 4) for _ in range(layers)), nn.Linear(4, 1))


class CountsOutsideItsState(Classifier):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_train_epoch_end(self):
        super().on_train_epoch_end()
        self.epochs += 1

    def batch_loss(self, batch):
        return super().batch_loss(batch) / (1 + self.epochs)


class DependsOnTheBlock(Classifier):
    def on_train_batch_start(self, batch, batch_idx):
        self.scale = 1 / (1 + batch_idx)

    def batch_loss(self, batch):
        return super().batch_loss(batch) * getattr(self, "scale", 1.0)


class CountsInPython(Classifier):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def batch_loss(self, batch):
        self.calls += 1
        return super().batch_loss(batch) / self.calls


class LearnsInValidation(Classifier):
    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        with torch.no_grad():
            self.network[0].bias += 1


class CentresTheBatch(Classifier):
    def predict_step(self, batch):
        return torch.sigmoid(self(batch[0] - batch[0].mean(0)))
