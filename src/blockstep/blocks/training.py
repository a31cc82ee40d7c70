"""Training in blocks: without this module, each user would write the K steps of a block by hand.

The user writes the loss of one batch, and `BlockTraining` takes the steps. A block is one `training_step` of
Lightning's automatic optimization, in which the K optimizer steps are taken. Learning-rate schedules at the epoch's
end, checkpoints, early stopping and weight averaging work as they do without blocks. The hooks around a single step
(`on_before_optimizer_step`, `on_after_backward`, `on_before_zero_grad`, `optimizer_step`) are not called for these
steps; batch hooks are called once a block. Whatever needs them needs a block size of 1.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import reduce
from operator import add, mul
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from blockstep.blocks.block import Batch, Block
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.refusals import refuse_what_needs_single_steps

ROWS_TOGETHER = 1000
"""Rows of a forward pass in an evaluation: with more of them, activations would leave the processor's cache."""

Engine = Callable[["BlockTraining", Optimizer, Block], Tensor]
"""Takes a block's steps at the optimizer's learning rate; returns each batch's loss before its update, shape (K,)."""

Forward = Callable[["BlockTraining", Tensor], Tensor]
"""Computes a module's result for all rows: an engine may have one as its `forward_rows`."""


class BlockTraining(LightningModule):
    """A LightningModule that defines the loss of one batch and trains on blocks of batches, or on batches.

    With blocks, callbacks' batch hooks get the block as `batch`, the number of its last step as `batch_idx`, and as
    `outputs` "losses", shape (K,), and "loss", the last of them. With and without, "train/loss" is the epoch's mean.

    A subclass that overrides one of the hooks below must call `super()`'s.

    Attributes:
        engine: Takes the steps of a block.
        wanted_scores: Tags of the scores that anybody reads of this training, all by default. A subclass may leave out
            others that take time to compute.

    Example:
        >>> class Line(BlockTraining):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.line = torch.nn.Linear(1, 1)
        ...
        ...     def batch_loss(self, batch):
        ...         x, y = batch
        ...         return torch.nn.functional.mse_loss(self.line(x), y)
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.Adam(self.parameters())
    """

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine = take_steps
        self.wanted_scores: frozenset[str] | None = None
        self._loss_sum: float | Tensor = 0.0
        self._loss_rows = 0

    def batch_loss(self, batch: Batch) -> Tensor:
        """The loss of one batch, a scalar, the mean over its rows."""
        raise NotImplementedError(f"{type(self).__name__} must define batch_loss(batch).")

    def forward_rows(self, x: Tensor) -> Tensor:
        """Return `self(x)` in an evaluation, computed for a part of the rows at a time, by the engine if it can.

        No row of the result may depend on the other rows.
        """
        forward: Forward = getattr(self.engine, "forward_rows", forward_rows)
        return forward(self, x)

    def training_step(self, batch: Block | Batch, batch_idx: int) -> Tensor | dict[str, Tensor]:
        """Take the steps of a block, or return the loss of a batch, of which Lightning takes the step."""
        if not isinstance(batch, Block):
            loss = self.batch_loss(batch)
            self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
            self._loss_sum = self._loss_sum + loss.detach().double() * len(batch[0])
            self._loss_rows += len(batch[0])
            return loss
        start = time.perf_counter()
        losses = self._take_scheduled_steps(batch, first=batch_idx + 1 - batch.steps)
        self._add_to_mean(losses, batch)
        self._loader().adapt(batch.steps, time.perf_counter() - start)
        return {"loss": losses[-1], "losses": losses}

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Take Lightning's step. For a block, only call `training_step`."""
        strategy = self.trainer.strategy
        if not self._in_blocks():
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        # The engine averages gradients in each step, but DistributedDataParallel expects one backward pass a call.
        with strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext():
            optimizer_closure()

    def on_train_start(self) -> None:
        """Prepare for blocks. Lightning does not call `on_train_epoch_start` if a run is resumed within an epoch."""
        self._prepare()

    def on_train_epoch_start(self) -> None:
        """Start the epoch's mean, and prepare for blocks again, since callbacks may have changed settings."""
        self._loss_sum, self._loss_rows = 0.0, 0
        self._prepare()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss, once, since logging in each block takes time.

        Without blocks, it replaces Lightning's own mean, which starts anew when a run is resumed.
        """
        if self._loss_rows:
            mean = float(self._loss_sum) / self._loss_rows
            if self._in_blocks():
                self.log_scores({"train/loss": torch.tensor(mean)})
            else:
                self.log("train/loss", mean, sync_dist=self.trainer.world_size > 1)

    def log_scores(self, scores: Mapping[str, Tensor]) -> None:
        """Log values of a whole epoch or evaluation, equal on all devices, at its end.

        While training this goes straight to the loggers and to `trainer.callback_metrics`: `self.log_dict` takes a
        third of a millisecond for each value, longer than a compiled step.

        Args:
            scores: The values by tag.
        """
        trainer = self.trainer
        if trainer.state.fn != TrainerFn.FITTING:
            self.log_dict(dict(scores))  # which `trainer.validate` prints and returns
            return
        trainer.callback_metrics.update(scores)
        trainer.logged_metrics.update(scores)
        if not trainer.sanity_checking:
            log_to_all(trainer, {tag: float(score) for tag, score in scores.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the two sums of the mean, for a run that is resumed in the middle of an epoch."""
        checkpoint["block_training"] = {"loss_sum": float(self._loss_sum), "loss_rows": self._loss_rows}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the sums that `on_save_checkpoint` has saved."""
        sums = checkpoint.get("block_training", {"loss_sum": 0.0, "loss_rows": 0})
        self._loss_sum, self._loss_rows = sums["loss_sum"], sums["loss_rows"]

    def _prepare(self) -> None:
        blocks = self._in_blocks()
        if blocks:
            refuse_what_needs_single_steps(self)
        # The backward passes of a block are done in `training_step`. Lightning's switch has no public name; its weight
        # averaging uses it, and resets it at each epoch's end. Without it, every block would fail at detached losses.
        self.trainer.fit_loop._skip_backward = blocks  # noqa: SLF001

    def _loader(self) -> BlockLoader:
        loader = self.trainer.train_dataloader
        if not isinstance(loader, BlockLoader):
            raise MisconfigurationException(
                f"The training loader must be a BlockLoader to train on a Block. Got {type(loader).__name__} instead."
            )
        return loader

    def _in_blocks(self) -> bool:
        loader = self.trainer.train_dataloader
        return isinstance(loader, BlockLoader) and loader.block_size != 1

    def _take_scheduled_steps(self, block: Block, first: int) -> Tensor:
        """Take the steps, with the schedulers that are due between them; Lightning steps those due after the last."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        if not isinstance(optimizer, Optimizer):
            raise MisconfigurationException("Training in blocks is for one optimizer: set data.block_size to 1.")
        configs = [c for c in self.trainer.lr_scheduler_configs if c.interval == "step" and not c.reduce_on_plateau]
        if not configs:
            return self.engine(self, optimizer, block)
        every = math.gcd(*(config.frequency for config in configs))
        losses, taken = [], 0
        while taken < block.steps:
            stop = min(taken + every - (first + taken) % every, block.steps)
            losses.append(self.engine(self, optimizer, block.part(taken, stop)))
            taken = stop
            for config in configs if taken < block.steps else []:
                if (first + taken) % config.frequency == 0:
                    self.lr_scheduler_step(config.scheduler, None)
        return torch.cat(losses)

    def _add_to_mean(self, losses: Tensor, block: Block) -> None:
        if self.wanted_scores is not None and "train/loss" not in self.wanted_scores:
            return
        # In order and in double precision, so that the mean does not depend on where blocks were cut.
        weighted = map(mul, losses.tolist(), block.rows.tolist())
        self._loss_sum = reduce(add, weighted, float(self._loss_sum))
        self._loss_rows += len(block.tensors[0])


def log_to_all(trainer: Trainer, values: dict[str, float]) -> None:
    """Log values of the epoch so far to all loggers, and save them, as Lightning does at an epoch's end."""
    for logger in trainer.loggers:
        logger.log_metrics({"epoch": trainer.current_epoch, **values}, trainer.global_step - 1)
        logger.save()


def forward_rows(module: LightningModule, x: Tensor) -> Tensor:
    """Return `module(x)`, computed for `ROWS_TOGETHER` rows at a time."""
    return torch.cat([module(part) for part in x.split(ROWS_TOGETHER)])


def take_steps(module: BlockTraining, optimizer: Optimizer, block: Block) -> Tensor:
    """Take a block's steps one by one: the default engine."""
    if module.trainer.world_size > 1:
        return take_steps_together(module, optimizer, block)
    clip, how = module.trainer.gradient_clip_val, module.trainer.gradient_clip_algorithm
    if not clip and is_plain_sgd(optimizer):
        return take_plain_sgd_steps(module, optimizer, block)
    losses: list[Tensor] = []
    for batch in block.batches():
        optimizer.zero_grad()
        loss = module.batch_loss(batch)
        loss.backward()
        if clip:
            module.configure_gradient_clipping(optimizer, clip, how)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def is_plain_sgd(optimizer: Optimizer) -> bool:
    """Whether a step is `weight -= lr * gradient` and nothing else."""
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) != 1:
        return False
    (group,) = optimizer.param_groups
    extras = any(group[key] for key in ("momentum", "weight_decay", "maximize", "differentiable", "fused"))
    # A scheduler replaces `step` on the object, to see that it is called. Hooks have no public name.
    hooks = "step" in vars(optimizer) or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks  # noqa: SLF001
    return not (extras or hooks or isinstance(group["lr"], Tensor)) and all(p.requires_grad for p in group["params"])


def take_plain_sgd_steps(module: BlockTraining, optimizer: Optimizer, block: Block) -> Tensor:
    """Take a block's steps of plain SGD: the same numbers, without the cost of `.grad` and the optimizer's calls."""
    (group,) = optimizer.param_groups
    parameters: list[Tensor] = group["params"]
    weights = [parameter.detach() for parameter in parameters]  # the same memory, which may be changed in place
    losses: list[Tensor] = []
    for batch in block.batches():
        loss = module.batch_loss(batch)
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        torch._foreach_add_(weights, gradients, alpha=-group["lr"])  # what torch.optim.SGD calls
        losses.append(loss.detach())
    return torch.stack(losses)


def take_steps_together(module: BlockTraining, optimizer: Optimizer, block: Block) -> Tensor:
    """Take a block's steps on several devices: each computes its part of every batch, and gradients are summed.

    A part is weighted by its share of the rows, so that parts may be of different sizes, or empty.
    """
    trainer = module.trainer
    clip, how = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    losses: list[Tensor] = []
    for batch in block.batches():
        part = tuple(tensor.tensor_split(trainer.world_size)[trainer.global_rank] for tensor in batch)
        share = len(part[0]) / len(batch[0])
        # A device without rows contributes gradients of zero.
        loss = module.batch_loss(part) * share if share else torch.stack([p.sum() for p in parameters]).sum() * 0
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        message = torch.cat([loss.detach().view(1), *(gradient.flatten() for gradient in gradients)])
        total = trainer.strategy.reduce(message, reduce_op="sum")
        pieces = total[1:].split([p.numel() for p in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        if clip:
            module.configure_gradient_clipping(optimizer, clip, how)
        optimizer.step()
        losses.append(total[0])
    return torch.stack(losses)
