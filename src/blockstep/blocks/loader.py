"""Data in blocks of K batches: without this module, each step would cost Lightning's 0.4 ms beside its own time.

Lightning counts one step for each item of a loader. `count_steps` adds the other K - 1, so that every limit,
interval and progress bar of the Trainer counts steps, as it does without blocks. A block ends where something is due
between two steps, which `steps_until_due` reads from the Trainer.
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from blockstep.base.errors import BadInputError

Batch = tuple[Tensor, ...]
SECONDS_PER_BLOCK = 0.25  # short enough for a bar and a signal, long compared with Lightning's 0.4 ms


class Block(NamedTuple):
    """K consecutive batches, end to end in the same tensors.

    Args:
        tensors: What the data set holds (x and t, say), each with the rows of all K batches.
        batch_size: Rows of a batch; the last batch of an epoch may be shorter.
    """

    tensors: Batch
    batch_size: int

    @property
    def steps(self) -> int:
        """K, the number of batches."""
        return math.ceil(len(self.tensors[0]) / self.batch_size)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of each batch, shape (K,), not to be written to."""
        return _rows(len(self.tensors[0]), self.batch_size)

    def batches(self) -> Iterator[Batch]:
        """The batches in order, as views."""
        return zip(*(torch.split(tensor, self.batch_size) for tensor in self.tensors), strict=True)

    def to(self, device: torch.device) -> "Block":
        """Move the block to a device. Lightning would otherwise search all that a block holds for tensors."""
        if all(tensor.device == device for tensor in self.tensors):
            return self
        return Block(move_data_to_device(self.tensors, device), self.batch_size)

    def part(self, start: int, stop: int) -> "Block":
        """The block that holds batches `start` to `stop` of this one, as views."""
        rows = slice(start * self.batch_size, stop * self.batch_size)
        return Block(tuple(tensor[rows] for tensor in self.tensors), self.batch_size)


@lru_cache(maxsize=16)  # several callbacks read it in each block, and most blocks are alike
def _rows(total: int, batch_size: int) -> NDArray[np.int64]:
    rows = np.full(math.ceil(total / batch_size), batch_size)
    rows[-1] = total - rows[:-1].sum()
    rows.flags.writeable = False
    return rows


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


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return `trainer.callbacks`, which is public, but set where type checkers do not see it."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set in a connector
    return callbacks


def steps_until_due(trainer: Trainer, in_epoch: int, steps: int, batches: int) -> int:
    """Return how many steps can be taken before something is due between two of them.

    Args:
        trainer: The trainer, with its limits, its validation interval and its callbacks.
        in_epoch: Steps of this epoch before the block.
        steps: Optimizer steps of the whole training before the block, `global_step`.
        batches: Batches of the whole training before the block.

    Returns:
        At least 1; very many where nothing is due.

    Raises:
        ValueError: If the next step that a callback names is not after the last one.
    """
    # (period, where its count stands). Limits are periods too, of which only the first is reached.
    due = [(trainer.num_training_batches, in_epoch)]
    due += [(limit, steps) for limit in (trainer.max_steps, trainer.min_steps or 0) if limit > steps]
    if trainer.val_check_batch is not None and trainer.enable_validation:
        due.append((trainer.val_check_batch, batches if trainer.check_val_every_n_epoch is None else in_epoch))
    for callback in callbacks_of(trainer):
        due += _due_for(callback, trainer, steps)
    for config in trainer.lr_scheduler_configs:
        if config.interval == "step" and config.reduce_on_plateau:
            due.append((config.frequency, in_epoch))
    periods = [(int(period), count) for period, count in due if 0 < period < float("inf")]
    return min((period - count % period for period, count in periods), default=2**62)


def _due_for(callback: Callback, trainer: Trainer, steps: int) -> list[tuple[int, int]]:
    if hasattr(callback, "next_step_due"):
        due: int = callback.next_step_due(steps)
        if due <= steps:
            name = type(callback).__name__
            raise ValueError(f"{name}.next_step_due({steps}) must be a step after {steps}. Got {due} instead.")
        return [(due, steps)]  # a limit, as max_steps is
    if isinstance(callback, ModelCheckpoint):
        return [(callback._every_n_train_steps, steps)]  # noqa: SLF001 - it has no public name
    if isinstance(callback, LearningRateMonitor) and callback.logging_interval != "epoch":
        # It reads the rate when a step starts whose end is a log point, so that step is a block of its own.
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined] # set in a connector
        return [(every, steps), (every, steps + 1)]
    return []


def count_steps(trainer: Trainer, more: int) -> None:
    """Make Lightning count `more` steps beside the one that it counts for an item.

    This is called when the item is loaded, so that hooks' `batch_idx`, the progress bar, the loggers' step, limits,
    intervals and checkpoints have the number of the block's last step. There is no public name for these counters; the
    tests of `global_step`, the bar, logs and resuming notice if one of them changes.
    """
    fit_loop = trainer.fit_loop
    epoch_loop = fit_loop.epoch_loop
    epoch_loop.batch_progress.increment_by(more)
    epoch_loop.automatic_optimization.optim_progress.optimizer.step.increment_by(more)
    epoch_loop._batches_that_stepped += more  # noqa: SLF001 - no public name, as said above
    if fit_loop._data_fetcher is not None:  # noqa: SLF001 - likewise
        fit_loop._data_fetcher.fetched += more  # noqa: SLF001 - likewise
