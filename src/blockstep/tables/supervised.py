"""What the models of tables have in common: without it, each would write its optimizer, engine and scores anew."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from lightning.pytorch import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from matplotlib.figure import Figure
from torch import Tensor, nn

from blockstep.base.errors import BadInputError, at_least, at_most
from blockstep.base.factories import OptimizerFactory, SchedulerFactory, call_factory, class_config, make_optimizer
from blockstep.blocks.training import BlockTraining
from blockstep.checkpoints.checkpoint_file import CheckedLoading
from blockstep.tables.evaluation import Evaluation
from blockstep.tables.learned import Learned
from blockstep.tables.pictures import Pictures

Engine = Literal["eager", "compiled"]


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """Return a multilayer perceptron with ReLU between its layers.

    Args:
        inputs: Size of an input row.
        width: Width of each layer between the first and the last.
        depth: Number of these layers; with 0 it is a linear map.
        outputs: Size of an output row.
    """
    at_least(1, in_features=inputs, width=width, outputs=outputs)
    at_least(0, depth=depth)
    at_most(1000, depth=depth)  # deeper networks do not train, and take long to build
    sizes = [inputs, *[width] * depth]
    layers = [layer for size, following in pairwise(sizes) for layer in (nn.Linear(size, following), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Supervised(CheckedLoading, BlockTraining):
    """A network with its optimizer and evaluation. A subclass adds `batch_loss`, `scores`, `figures`, `predict_step`.

    Args:
        network: Takes x (n, features) and returns outputs (n, outputs).
        optimizer: A class of torch.optim with its arguments; in Python, the class or a `functools.partial` of it.
        lr_scheduler: Likewise of torch.optim.lr_scheduler, stepped once an epoch; `ReduceLROnPlateau` watches val/loss.
        engine: "eager" or "compiled".
        settings: The other hyperparameters.

    Raises:
        ValueError: If a setting is out of its range.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None,
        engine: Engine,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.optimizer, self.lr_scheduler = network, optimizer, lr_scheduler
        self._callbacks: list[Callback] = [Pictures()]
        if engine == "compiled":
            from blockstep.compiled.engine import CompiledEngine

            self.engine = compiled = CompiledEngine()
            self._callbacks.append(compiled)
        elif engine != "eager":
            raise ValueError(f"engine must be 'eager' or 'compiled'. Got {engine!r} instead.")
        # Built here to be checked and named, and again in configure_optimizers.
        probe = call_factory("optimizer", optimizer, network.parameters())
        scheduler = lr_scheduler and call_factory("lr_scheduler", lr_scheduler, probe)
        named = {
            "optimizer": class_config(optimizer, type(probe)),
            "lr_scheduler": lr_scheduler and class_config(lr_scheduler, type(scheduler)),
        }
        self.save_hyperparameters({**settings, **named, "engine": engine})
        self.evaluation = Evaluation()

    def scores(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the scores of an evaluation by name.

        Args:
            outputs: The network's for all rows, shape (n, outputs).
            labels: Those of the data, shape (n, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} must define scores(outputs, labels).")

    def figures(self, outputs: Tensor, labels: Tensor) -> dict[str, Figure]:
        """Return the figures of an evaluation by name. The arguments are those of `scores`."""
        return {}

    def check_table(self, learned: Learned) -> None:
        """Raise BadInputError if the model is not for a table of these columns and labels."""

    def setup(self, stage: str) -> None:
        """Check the model against the table, if the data are one."""
        learned = getattr(self.trainer.datamodule, "learned", None)  # type: ignore[attr-defined] # set by the Trainer
        if stage == "fit" and isinstance(learned, Learned):
            self.check_table(learned)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n, outputs) of x (n, features)."""
        outputs: Tensor = self.network(x)
        return outputs

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Evaluate a batch of x (n, features) and t (n, 1)."""
        self.evaluation.update(self.forward_rows(batch[0]), batch[1])

    test_step = validation_step

    def on_validation_epoch_start(self) -> None:
        """Start anew, also after an evaluation that was left."""
        self.evaluation.reset()

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        """Log the scores under val/."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores under test/."""
        self._log_scores("test")

    def configure_callbacks(self) -> list[Callback]:
        """Return what draws the figures, and the compiled engine."""
        return self._callbacks

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, if there is one, its scheduler."""
        return make_optimizer(self.parameters(), self.optimizer, self.lr_scheduler)

    def _log_scores(self, stage: str) -> None:
        scores = self.scores(*self.evaluation.compute())
        self.log_scores({f"{stage}/{name}": score for name, score in scores.items()})


def check_number(key: str, given: int, needed: int, names: Sequence[str]) -> None:
    """Raise BadInputError unless a size of the model is that of the table.

    Args:
        key: The model's argument.
        given: Its value.
        needed: What the table has.
        names: The names of what the table has.
    """
    if given != needed:
        raise BadInputError(f"model.{key} must be {needed}: the table has {', '.join(names)}. Got {given} instead.")
