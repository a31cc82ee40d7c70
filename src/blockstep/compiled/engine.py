"""The compiled engine as a callback: without it, users would have to build and call `CompiledBlock` themselves."""

from contextlib import suppress
from functools import cache
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from blockstep.blocks.block import Block
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.training import BlockTraining, forward_rows, take_steps
from blockstep.compiled.block import CompiledBlock
from blockstep.compiled.forward import CompiledForward
from blockstep.compiled.operations import UnsupportedError


class CompiledEngine(Callback):
    """Take a block's steps as one compiled program, and evaluate by another.

    What cannot be compiled is trained in eager PyTorch, and the reason is printed. As a callback, the engine compiles
    the program before the first epoch, so that an epoch's time does not include the compiler's:

        self.engine = CompiledEngine()                # in the module's __init__

        def configure_callbacks(self):
            return [self.engine]
    """

    def __init__(self) -> None:
        self._block: CompiledBlock | None = None
        self._forwards: dict[Any, CompiledForward | None] = {}  # by a row's shape and type; None is refused
        self._programs: dict[Any, Any] | None = None

    def share(self, programs: dict[Any, Any] | None) -> None:
        """Take programs from a store, and add those that are missing, so that none is recorded and loaded again.

        Args:
            programs: The store, of engines in one process whose modules are equal but for their parameters' values: of
                one class, and built from the same arguments. The optimizer's numbers and the batch size may differ.
        """
        self._programs = programs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile the program or load it from disk; if that is not possible, print the reason.

        Raises:
            TypeError: If the module is not a BlockTraining.
        """
        self._block, self._forwards = None, {}
        if not isinstance(pl_module, BlockTraining):
            raise TypeError(f"CompiledEngine is for a BlockTraining. Got {type(pl_module).__name__} instead.")
        try:
            self._block = _build(trainer, pl_module, self._programs)
        except UnsupportedError as reason:
            pl_module.print(f"engine: eager, not compiled: {reason}")

    def __call__(self, module: BlockTraining, optimizer: Optimizer, block: Block) -> Tensor:
        """Take a block's steps. Return the loss of each batch before its update, shape (K,)."""
        if self._block is None:
            return take_steps(module, optimizer, block)
        try:
            losses = self._block.run(*block.tensors)
        except UnsupportedError as reason:  # raised before any step is taken
            module.print(f"engine: eager from here on, not compiled: {reason}")
            self._block = None
            return take_steps(module, optimizer, block)
        # Only `optimizer.step` sets this. Without it, schedulers warn that they were stepped before the optimizer.
        optimizer._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001
        return losses

    def forward_rows(self, module: BlockTraining, x: Tensor) -> Tensor:
        """Return `module(x)` in an evaluation. What cannot be compiled is eager, and the reason is printed."""
        if module.training or torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
            return forward_rows(module, x)
        compiled = self._forward_for(module, x)
        with suppress(UnsupportedError):  # a parameter that was given another shape, say
            if compiled is not None:
                return compiled(x)
        return forward_rows(module, x)

    def _forward_for(self, module: BlockTraining, x: Tensor) -> CompiledForward | None:
        key = (x.shape[1:], x.dtype, x.device)
        known = self._forwards.get(key)
        if key not in self._forwards or (known is not None and not known.is_of(module)):
            try:
                self._forwards[key] = CompiledForward(module, x, _say, self._programs if known is None else None)
            except UnsupportedError as reason:
                _say(f"engine: evaluation is eager, not compiled: {reason}")
                self._forwards[key] = None
        return self._forwards[key]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the programs out of a copy, which builds its own."""
        return {"_block": None, "_forwards": {}, "_programs": None}


@rank_zero_only
def _say(message: str) -> None:
    print(message)  # `module.print` needs a trainer, which a module that is used by itself has not


def _build(trainer: Trainer, module: BlockTraining, programs: dict[Any, Any] | None) -> CompiledBlock:
    loader, optimizer = trainer.train_dataloader, module.optimizers(use_pl_optimizer=False)
    if not isinstance(loader, BlockLoader) or loader.block_size == 1:
        raise UnsupportedError("it takes blocks, and data.block_size is 1")
    if trainer.world_size > 1 or not isinstance(optimizer, Optimizer):
        raise UnsupportedError("it is for one device and one optimizer")
    if trainer.gradient_clip_val or trainer.precision != "32-true":
        clip = f"trainer.gradient_clip_val is {trainer.gradient_clip_val}"
        raise UnsupportedError(f"it takes plain float32 steps; {clip}, trainer.precision is {trainer.precision}")
    return _compile_for_loader(loader, module, optimizer, programs)


def _compile_for_loader(
    loader: BlockLoader, module: BlockTraining, optimizer: Optimizer, programs: dict[Any, Any] | None
) -> CompiledBlock:
    say = cache(module.print)  # print the message once, even if the shorter last batch needs a second program
    whole = loader.dataset[: loader.batch_size]
    compiled = CompiledBlock(module, optimizer, lambda *batch: module.batch_loss(batch), whole, say, programs)
    if rest := loader.rows % loader.batch_size:
        compiled.prepare(loader.dataset[:rest])
    return compiled
