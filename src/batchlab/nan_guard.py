"""NanGuard: numbers go wrong in the open."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from batchlab.block_loader import Block
from batchlab.block_training import BlockTraining, take_steps
from batchlab.errors import RunError


class NanGuard(Callback):
    """Stops a run at the end of the block in which a loss or a weight stops being a finite number.

    The block is then run again in eager from the state that it started with, to name the step, the batch and the
    parameter. The state after it is never saved.
    """

    def __init__(self) -> None:
        self._copies: list[Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Copies the weights and the optimizer's state, if there are steps to be told apart."""
        if isinstance(batch, Block) and batch.steps > 1:
            tensors = _state(pl_module, _optimizer(pl_module))
            if [t.shape for t in self._copies] != [t.shape for t in tensors]:
                self._copies = [torch.empty_like(tensor) for tensor in tensors]
            torch._foreach_copy_(self._copies, [tensor.detach() for tensor in tensors])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the block's losses and at the weights.

        Raises:
            RunError: If one is nan or infinite.
        """
        trained = (p for o in trainer.optimizers for group in o.param_groups for p in group["params"])
        if _all_finite([outputs.get("losses", outputs["loss"]), *trained]):
            return
        what = self._first_trouble(pl_module, batch, outputs["loss"], trainer.global_step, batch_idx)
        raise RunError(
            f"epoch {trainer.current_epoch}, {what}. Nothing after the last good checkpoint is kept. A smaller "
            "model.optimizer.lr or trainer.gradient_clip_val often helps; on_nan=ignore trains on."
        )

    def _first_trouble(self, module: LightningModule, batch: Any, loss: Tensor, step: int, batch_idx: int) -> str:
        if not isinstance(batch, Block) or batch.steps == 1:
            return _words(module, loss, step, batch_idx)
        return next(self._again(module, batch, step - batch.steps, batch_idx + 1 - batch.steps))

    def _again(self, module: LightningModule, block: Block, step: int, batch_idx: int) -> Iterator[str]:
        if not isinstance(module, BlockTraining):
            raise TypeError(f"Blocks are for a BlockTraining. Got {type(module).__name__} instead.")
        optimizer = _optimizer(module)
        if len(_state(module, optimizer)) > len(self._copies):  # the first block of all has made the state
            optimizer.state.clear()
        torch._foreach_copy_([tensor.detach() for tensor in _state(module, optimizer)], self._copies)
        for i in range(block.steps):
            loss = take_steps(module, optimizer, block.part(i, i + 1))[0]
            if not (torch.isfinite(loss) and all(torch.isfinite(p).all() for p in module.parameters())):
                yield _words(module, loss, step + i + 1, batch_idx + i)
        # Not to be seen again: another engine, whose numbers differ in their last digits, was at the edge.
        yield f"steps {step + 1} to {step + block.steps}: a loss or a weight was not finite"


def _all_finite(tensors: Sequence[Tensor]) -> bool:
    # A finite sum has finite terms alone. One that is not may have overflowed, so only then is each looked at.
    total = torch.cat([tensor.detach().flatten() for tensor in tensors]).sum()
    return math.isfinite(total) or all(torch.isfinite(tensor).all() for tensor in tensors)


def _words(module: LightningModule, loss: Tensor, step: int, batch_idx: int) -> str:
    bad = [name for name, p in module.named_parameters() if not torch.isfinite(p).all()]
    after = f"after it {bad[0]} and {len(bad) - 1} other parameters are not finite" if bad else "all weights are finite"
    return f"batch {batch_idx}, step {step}: the loss is {loss.item()}, {after}"


def _optimizer(module: LightningModule) -> Optimizer:
    optimizer = module.optimizers(use_pl_optimizer=False)
    if not isinstance(optimizer, Optimizer):
        raise TypeError("Blocks are for one optimizer.")
    return optimizer


def _state(module: LightningModule, optimizer: Optimizer) -> list[Tensor]:
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return [*module.parameters(), *kept]
