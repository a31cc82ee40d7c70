"""ToyDataModule: the toy events as a LightningDataModule."""

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from numpy.random import SeedSequence
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from batchlab.toy import Array, draw_events, posterior
from blockstep.base.errors import at_least, at_most
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.row_loader import RowLoader
from blockstep.checkpoints.checkpoint_file import CheckedLoading


class ToyDataModule(CheckedLoading, LightningDataModule):
    """Signal and background events, drawn from their seeds in `setup`.

    Training uses all of its events, in stored order. Since the distribution is known, none of them are held out:
    validation and test events are drawn anew, in the training data's ratio of signal to background, from the
    independent streams 1 and 2 of the seed (`numpy.random.SeedSequence(seed, spawn_key=(stream,))`). Their batches
    have a third tensor, the exact posterior p(signal | x), with which a classifier can be compared.

    Args:
        batch_size: Events per step, over all devices together; null is batch learning, all events in one step. A
            size that does not divide the number of events leaves a short last batch; one that exceeds it is the
            same as null. The default is the notebook's mini-batch.
        shuffle: Whether training visits the events in a new random order each epoch. Off by default, as in the
            notebook: the stored order is random already.
        block_size: Most steps in one call of `training_step` (see `blockstep.blocks.loader`). 1 is Lightning's
            ordinary way, one step a call; by default, 0, a block is as long as takes a quarter of a second.
        num_workers: Processes that load batches. The default 0 loads in the training process, which is fastest
            for events that fit in memory.
        num_signal: Number of signal events to train on. The default is the notebook's.
        num_background: Number of background events to train on. The default is the notebook's.
        num_validation: Number of validation events. The default, ten times the training events, keeps the
            statistical error of the regret small and an evaluation short.
        num_test: Number of test events. The default, a hundred times the training events, is for the final score.
        seed: Seed of the events, from 0 to 4294967295; the weights have a seed of their own (`seed_everything`).
        order_seed: Seed of the orders in which the events are visited, likewise. By default, it is that of the events.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        batch_size: int | None = 10,
        shuffle: bool = False,
        block_size: int = 0,
        num_workers: int = 0,
        num_signal: int = 100,
        num_background: int = 1000,
        num_validation: int = 11_000,
        num_test: int = 110_000,
        seed: int = 0,
        order_seed: int | None = None,
    ) -> None:
        super().__init__()
        at_least(1, batch_size=1 if batch_size is None else batch_size)
        at_least(
            0,
            block_size=block_size,
            num_workers=num_workers,
            num_signal=num_signal,
            num_background=num_background,
            seed=seed,
            order_seed=order_seed or 0,
        )
        at_least(1, **{"num_signal + num_background": num_signal + num_background})
        at_least(2, num_validation=num_validation, num_test=num_test)
        at_most(2**32 - 1, seed=seed, order_seed=order_seed or 0)
        at_most(1000, num_workers=num_workers)  # each is a process
        self.save_hyperparameters()
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.block_size = block_size
        self.num_workers = num_workers
        self.num_signal = num_signal
        self.num_background = num_background
        self.num_validation = num_validation
        self.num_test = num_test
        self.seed = seed
        self.order_seed = seed if order_seed is None else order_seed

    def prepare_data(self) -> None:
        """Do nothing. Files would be downloaded here, once per machine, without assigning to self."""

    def setup(self, stage: str) -> None:
        """Draw the events that the stage needs, from the seed: the same in every process.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if stage == "fit":
            events = draw_events(self.num_signal, self.num_background, self.seed)
            self.training = TensorDataset(*map(_float32, events))
        if stage in ("fit", "validate"):
            self.validation = self._fresh_events(self.num_validation, stream=1)
        if stage in ("test", "predict"):
            self.test = self._fresh_events(self.num_test, stream=2)
        self._say_sizes(stage)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]] | BlockLoader:
        """Load batches of x (batch_size, 2) and t (batch_size, 1), float32; for a Trainer, in blocks."""
        batch_size = min(self.batch_size or len(self.training), len(self.training))
        if self.trainer is not None and self.trainer.world_size > 1 and self.block_size == 1:
            return self._share_of_device(self.trainer, batch_size)
        return BlockLoader(
            self.training,
            batch_size,
            self.trainer,
            block_size=self.block_size,
            shuffle=self.shuffle,
            seed=self.order_seed,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> RowLoader:
        """Load large batches of x (n, 2), t (n, 1) and the exact posterior (n, 1), float32."""
        return self._evaluation_loader(self.validation)

    def test_dataloader(self) -> RowLoader:
        """Load the test events, in batches as in validation."""
        return self._evaluation_loader(self.test)

    def predict_dataloader(self) -> RowLoader:
        """Load the test events, with their labels and posterior."""
        return self._evaluation_loader(self.test)

    def posterior(self, x: Array) -> Array:
        """Return the exact p(signal | x), shape (n, 1), of points x (n, 2), for the training's ratio of classes."""
        return posterior(x, self.num_signal, self.num_background)

    def _share_of_device(self, trainer: Trainer, batch_size: int) -> DataLoader[tuple[Tensor, ...]]:
        """Load a device's share of every batch. Lightning's own sampler would shuffle in any case."""
        devices = trainer.world_size
        sampler: DistributedSampler[Tensor] = DistributedSampler(
            self.training, devices, trainer.global_rank, self.shuffle, self.order_seed
        )
        at_least_one_each = max(batch_size // devices, 1)
        return DataLoader(self.training, at_least_one_each, sampler=sampler, num_workers=self.num_workers)

    def _fresh_events(self, count: int, stream: int) -> TensorDataset:
        num_signal = round(count * self.num_signal / (self.num_signal + self.num_background))
        if self.num_signal and self.num_background:
            num_signal = min(max(num_signal, 1), count - 1)
        x, t = draw_events(num_signal, count - num_signal, SeedSequence(self.seed, spawn_key=(stream,)))
        return TensorDataset(*map(_float32, (x, t, self.posterior(x))))

    def _evaluation_loader(self, dataset: TensorDataset) -> RowLoader:
        return RowLoader(dataset, self.trainer, num_workers=self.num_workers)

    @rank_zero_only
    def _say_sizes(self, stage: str) -> None:
        sets = {"fit": ("training", "validation"), "validate": ("validation",)}.get(stage, ("test",))
        for name in sets:
            shapes = [tuple(tensor.shape) for tensor in getattr(self, name).tensors]
            print(f"{name} data: x {shapes[0]}, t {shapes[1]}")


def _float32(array: Array) -> Tensor:
    return torch.from_numpy(array).float()
