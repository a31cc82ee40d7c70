"""Data in blocks of K batches: without this module, each step would cost Lightning's 0.4 ms beside its own time.

Lightning counts one step for each item of a loader. `count_steps` adds the other K - 1, so that every limit,
interval and progress bar of the Trainer counts steps, as it does without blocks. A block ends where something is due
between two steps, which `steps_until_due` reads from the Trainer.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from blockstep.base.errors import BadInputError
from blockstep.blocks.block import Batch, Block
from blockstep.blocks.trainer_steps import count_steps, steps_until_due

SECONDS_PER_BLOCK = 0.25  # short enough for a bar and a signal, long compared with Lightning's 0.4 ms


class BlockLoader:
    """Load batches in blocks, in an order that is a pure function of (seed, epoch), from any position on.

    Its length is the number of steps of an epoch. With a Trainer, only that may iterate over it, since an item that was
    drawn counts as trained on.

    A block ends at each step that a callback of the Trainer asks for, which then sees the state after it in
    `on_train_batch_end`. It asks by a method `next_step_due(self, step: int) -> int`, which returns the first such
    `global_step` after `step`, or `sys.maxsize`. The answer may depend on nothing that changes while training, since
    blocks are cut some time before they are trained on if processes load the rows.

    Args:
        dataset: `dataset[rows]`, for a slice or a tensor of row numbers, gives a tuple of tensors with these rows, as
            `torch.utils.data.TensorDataset` does. So no row is ever collated.
        batch_size: Rows of a step, over all devices together.
        trainer: The trainer, whose limits and intervals decide where blocks end; None, as a data module's is outside of
            a Trainer, for plain batches.
        block_size: The most steps of a block; 0 leaves it to `SECONDS_PER_BLOCK`. With 1 the items are ordinary
            batches and training is Lightning's plain automatic optimization.
        shuffle: A new order every epoch.
        seed: Decides the orders, together with the epoch's number.
        num_workers: Processes that load rows. Where blocks end is always decided in this process.
        pin_memory: As in `torch.utils.data.DataLoader`.
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        batch_size: int,
        trainer: Trainer | None,
        *,
        block_size: int = 0,
        shuffle: bool = False,
        seed: int = 0,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Got {batch_size} instead.")
        if block_size < 0:
            raise ValueError(f"block_size must be 0 (measured) or a number of steps. Got {block_size} instead.")
        self.dataset, self.batch_size = dataset, batch_size
        self.trainer: Any = trainer  # a Trainer wherever blocks are cut
        self.block_size, self.shuffle, self.seed = block_size, shuffle, seed
        self._workers = {"num_workers": num_workers, "pin_memory": pin_memory}
        self.rows = len(dataset)  # type: ignore[arg-type] # torch's Dataset leaves __len__ to its subclasses
        self._epoch = self._position = self._start = 0
        self._pace = 1  # steps of the next block; the first one is timed
        # Lightning looks for `batch_sampler.sampler.set_epoch`. (Under the name `sampler` it would also look for
        # shuffling to turn off.)
        self.batch_sampler = _EpochListener(self)

    def __len__(self) -> int:
        return math.ceil(self.rows / self.batch_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rows} rows, {len(self)} batches of {self.batch_size})"

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch. Lightning calls this before each one."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._position = self._start = 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the steps of it that were loaded; Lightning saves this in checkpoints."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Any) -> None:
        """Start the next iteration, if it is of the same epoch, after these steps.

        Raises:
            BadInputError: If one of the two is not a whole number from 0 on.
        """
        known = isinstance(state, dict) and state.keys() == {"epoch", "position"}
        if not (known and all(type(count) is int and count >= 0 for count in state.values())):
            raise BadInputError(
                "ckpt_path must be a checkpoint with an epoch and a position from 0 on in loops.fit_loop.state_dict. "
                f"Got {state!r} instead."
            )
        self._epoch, self._start = state["epoch"], state["position"]

    def adapt(self, steps: int, seconds: float) -> None:
        """Choose the next block's length by the time that one has taken."""
        # Every device must use the same blocks, or they would wait for each other forever.
        seconds = self.trainer.strategy.broadcast(seconds)
        self._pace = max(1, int(SECONDS_PER_BLOCK * steps / max(seconds, 1e-9)))

    def __iter__(self) -> Iterator[Any]:
        # A generator, so that nothing is read from the Trainer or loaded by a worker before the epoch has been set.
        self._position, self._start = self._start, 0
        if self.trainer is None:
            for tensors in fetch(self.dataset, self._single_steps(), **self._workers):
                self._position += 1
                yield tuple(tensors)
            return
        module = self.trainer.lightning_module
        if module is not None and not hasattr(module, "batch_loss"):  # it takes batches, not blocks
            self.block_size = 1
        for tensors in fetch(self.dataset, self._cuts(), **self._workers):
            block = Block(tuple(tensors), self.batch_size)
            self._position += block.steps
            if self.block_size == 1:
                yield block.tensors
            else:
                count_steps(self.trainer, block.steps - 1)
                yield block

    def _cuts(self) -> Iterator[slice | Tensor]:
        """Row numbers of one block after another."""
        trainer, position = self.trainer, self._position
        order = self._order()
        steps_before = trainer.global_step - position
        batches_before = trainer.fit_loop.total_batch_idx + 1 - position
        while position < len(self):
            due = steps_until_due(trainer, position, position + steps_before, position + batches_before)
            stop = min(position + min(due, self.block_size or self._pace), len(self))
            yield self._rows_of(position, stop, order)
            position = stop

    def _single_steps(self) -> Iterator[slice | Tensor]:
        order, first = self._order(), self._position
        return (self._rows_of(step, step + 1, order) for step in range(first, len(self)))

    def _rows_of(self, start: int, stop: int, order: Tensor | None) -> slice | Tensor:
        rows = slice(start * self.batch_size, min(stop * self.batch_size, self.rows))
        return rows if order is None else order[rows]

    def _order(self) -> Tensor | None:
        # As Lightning does with a DataLoader: to overfit is to see the same batches every epoch.
        if not self.shuffle or (self.trainer is not None and self.trainer.overfit_batches > 0):
            return None
        seed = np.random.SeedSequence(self.seed, spawn_key=(self._epoch,))
        return torch.from_numpy(np.random.default_rng(seed).permutation(self.rows))


class _EpochListener:
    """Lets Lightning find `set_epoch`, for which it looks at `loader.batch_sampler.sampler`."""

    def __init__(self, loader: BlockLoader) -> None:
        self.sampler = loader


def fetch(dataset: Dataset[Batch], cuts: Iterator[slice | Tensor], **workers: Any) -> Iterable[Batch]:
    """Load rows from a data set.

    Args:
        dataset: As `BlockLoader` takes it.
        cuts: The rows of each item.
        workers: Arguments of `torch.utils.data.DataLoader`. Since it costs a tenth of a millisecond an epoch, it is
            used only if one of them is set.
    """
    if any(workers.values()):
        return DataLoader(dataset, sampler=cuts, batch_size=None, **workers)
    return map(dataset.__getitem__, cuts)


def num_events(loader: Any) -> int | None:
    """Return the number of events in a loader's data set; None if it has no length, or there is no single data set."""
    try:
        return len(loader.dataset)
    except (AttributeError, TypeError):
        return None
