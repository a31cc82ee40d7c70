"""The compiled engine: `CompiledBlock` in the place where `batchlab.block_training` takes a block's steps."""

from functools import cache

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from batchlab.block_loader import Block, BlockLoader
from batchlab.block_training import BlockTraining, take_steps
from batchlab.compiled.block import CompiledBlock
from batchlab.compiled.operations import UnsupportedError


class CompiledEngine(Callback):
    """Takes a block's steps as one compiled program; what cannot be compiled is trained in eager, with a line why.

    It is a callback too, so that the program is ready before the first epoch's clock starts:

        self.engine = CompiledEngine()                # in the module's __init__

        def configure_callbacks(self):
            return [self.engine]
    """

    def __init__(self) -> None:
        self._block: CompiledBlock | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Builds the program, or loads it, and says so if that is not possible."""
        self._block = None
        if not isinstance(pl_module, BlockTraining):
            raise TypeError(f"CompiledEngine is for a BlockTraining. Got {type(pl_module).__name__} instead.")
        try:
            self._block = _build(trainer, pl_module)
        except UnsupportedError as reason:
            pl_module.print(f"engine: eager, not compiled: {reason}")

    def __call__(self, module: BlockTraining, optimizer: Optimizer, block: Block) -> Tensor:
        """The losses of a block's steps, shape (K,), which it has taken."""
        if self._block is None:
            return take_steps(module, optimizer, block)
        try:
            losses = self._block.run(*block.tensors)
        except UnsupportedError as reason:  # raised before any step is taken
            module.print(f"engine: eager from here on, not compiled: {reason}")
            self._block = None
            return take_steps(module, optimizer, block)
        # What a scheduler asks to see that the optimizer goes first, and what only the optimizer's own step would set.
        optimizer._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001
        return losses


def _build(trainer: Trainer, module: BlockTraining) -> CompiledBlock:
    loader, optimizer = trainer.train_dataloader, module.optimizers(use_pl_optimizer=False)
    if not isinstance(loader, BlockLoader) or loader.block_size == 1:
        raise UnsupportedError("it takes blocks, and data.block_size is 1")
    if trainer.world_size > 1 or not isinstance(optimizer, Optimizer):
        raise UnsupportedError("it is for one device and one optimizer")
    if trainer.gradient_clip_val or trainer.precision != "32-true":
        clip = f"trainer.gradient_clip_val is {trainer.gradient_clip_val}"
        raise UnsupportedError(f"it takes plain float32 steps; {clip}, trainer.precision is {trainer.precision}")
    return _for_batches_of(loader, module, optimizer)


def _for_batches_of(loader: BlockLoader, module: BlockTraining, optimizer: Optimizer) -> CompiledBlock:
    say = cache(module.print)  # one message, also where the short last batch needs a program of its own
    whole = loader.dataset[: loader.batch_size]
    compiled = CompiledBlock(module, optimizer, lambda *batch: module.batch_loss(batch), whole, say)
    if rest := loader.rows % loader.batch_size:
        compiled.prepare(loader.dataset[:rest])
    return compiled
