"""The rules that a module keeps. Each function's name is a rule, and returns what breaks it."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.utils.data import DataLoader

from blockstep.blocks.training import BlockTraining
from blockstep.testing.rules import Rule, rule
from blockstep.testing.trials import (
    STEPS,
    KeepState,
    batches_of,
    data_loader,
    differing,
    in_blocks,
    leaves,
    make_trainer,
    train,
)

MODULE_RULES: list[Rule] = []


def _first_batch(data: LightningDataModule, folder: Path) -> Any:
    return batches_of(data, folder).training[0]


def _loss(module: LightningModule, batch: Any) -> Tensor:
    """Return the loss of a batch, with the same random numbers each time."""
    torch.manual_seed(0)
    numbered = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
    outputs: Any = module.training_step(batch, 0) if numbered else module.training_step(batch)
    loss: Tensor = outputs["loss"] if isinstance(outputs, dict) else outputs
    return loss


def _state(module: LightningModule) -> Iterable[tuple[str, Tensor]]:
    state: dict[str, Tensor] = module.state_dict()
    return state.items()


@rule(MODULE_RULES, "Return a scalar from training_step, computed by tensor operations from the parameters.")
def the_loss_is_a_finite_number_with_a_gradient(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """Without one, there is nothing to learn from."""
    if not module.automatic_optimization:
        return None
    loss: Any = _loss(module, _first_batch(data, folder))
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        return f"the loss of the first batch is {getattr(loss, 'shape', loss)}."
    return None if loss.requires_grad and loss.isfinite() else f"the loss of the first batch is {loss}."


@rule(MODULE_RULES, "Use the parameter in the loss, set its requires_grad to False, or take it out.")
def every_trained_parameter_has_a_gradient(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """One without is not learned, and nobody notices."""
    if not module.automatic_optimization:
        return None
    _loss(module, _first_batch(data, folder)).backward()
    unused = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    return f"there is none for {', '.join(unused)}." if unused else None


@rule(MODULE_RULES, "Look for a wrong sign, or a detached tensor in the loss.")
def a_step_lowers_the_loss_of_its_batch(module: LightningModule, data: LightningDataModule, folder: Path) -> str | None:
    """A step goes down the gradient: it lowers the loss, or if the learning rate is large, a hundredth of it does."""
    if not module.automatic_optimization:
        return None
    batch = _first_batch(data, folder)
    loader: Any = DataLoader([batch], batch_size=None)  # type: ignore[arg-type] # a list is a data set
    stepped = deepcopy(module)
    make_trainer(folder, max_steps=1, limit_val_batches=0).fit(stepped, loader)
    start, before, losses = deepcopy(dict(module.state_dict())), _loss(module, batch).item(), []
    for part in (1.0, 0.01):
        weights = {name: torch.lerp(start[name].float(), end.float(), part) for name, end in _state(stepped)}
        module.load_state_dict(weights)
        losses.append(_loss(module, batch).item())
    return None if min(losses) < before else f"it was {before:.6g} before the step, and {losses[0]:.6g} after it."


@rule(MODULE_RULES, "Draw random numbers from torch's, NumPy's or Python's global generators, which fit seeds.")
def the_same_seed_gives_the_same_weights(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """Otherwise no result can be repeated."""
    first = train(deepcopy(module), deepcopy(data), folder)
    names = differing(first, train(module, data, folder))
    return f"after {STEPS} steps at most, {names} differ." if names else None


@rule(MODULE_RULES, "Call self.save_hyperparameters() in __init__, and give every argument to the network.")
def a_checkpoint_builds_the_module_again(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """`load_from_checkpoint` must build a module of the same shape, with the same weights."""
    path = folder / "last.ckpt"
    weights = train(module, data, folder, KeepState(path), max_steps=1)
    try:
        again = type(module).load_from_checkpoint(path)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's class raises
        return f"loading it raises {type(error).__name__}: {str(error).splitlines()[0]}."
    names = differing(weights, again.state_dict())
    return f"{names} differ." if names else None


@rule(MODULE_RULES, "Keep what changes while training in buffers, or in on_save_checkpoint and on_load_checkpoint.")
def a_resumed_training_equals_one_that_was_not_interrupted(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """It is resumed by a module with other weights: within an epoch if the loader knows its position, else after it."""
    path = folder / "middle.ckpt"
    keep = KeepState(path, within_epoch=hasattr(data_loader(data), "state_dict"))
    again = deepcopy(data)
    for source in (data, again):
        in_blocks(module, source, 4)  # if they are for blocks, so that a block ends within the epoch
    whole = train(deepcopy(module), data, folder, keep, max_epochs=2)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    resumed = train(module, again, folder, max_epochs=2, ckpt_path=path)
    names = differing(whole, resumed)
    return f"after two epochs, {names} differ." if names else None


@rule(MODULE_RULES, "Compute the loss in batch_loss from the batch and the parameters alone, not in hooks around it.")
def blocks_equal_single_steps(module: LightningModule, data: LightningDataModule, folder: Path) -> str | None:
    """A block of steps gives the weights that Lightning's ordinary way gives, bit for bit."""
    weights = []
    for size in (1, 4):
        own, source = deepcopy(module), deepcopy(data)
        if not in_blocks(own, source, size):
            return None
        weights.append(train(own, source, folder))
    names = differing(*weights)
    return f"{names} differ." if names else None


@rule(MODULE_RULES, "Let batch_loss depend on tensors alone: Python's numbers become constants of the program.")
def the_compiled_engine_agrees_or_is_refused(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """After five steps, weights agree within a thousandth of what they have changed by."""
    try:
        from blockstep.compiled.engine import CompiledEngine
    except ModuleNotFoundError:  # an extra, which was deleted
        return None
    start, changed = deepcopy(dict(module.state_dict())), []
    for engine in (None, CompiledEngine()):
        own, source = deepcopy(module), deepcopy(data)
        if not in_blocks(own, source, 5):
            return None
        if isinstance(own, BlockTraining) and engine:
            own.engine = engine
        callbacks = [engine] if engine else []
        weights = train(own, source, folder, *callbacks, max_steps=5)
        changed.append({name: weights[name].double() - start[name].double() for name in weights})
    names = [name for name in start if not _agree(*(change[name] for change in changed))]
    return f"{', '.join(names[:5])} differ from eager PyTorch's." if names else None


def _agree(first: Tensor, second: Tensor) -> bool:
    scale = first.abs().max() if first.numel() else torch.tensor(0.0)
    return torch.allclose(first, second, rtol=0, atol=1e-3 * scale.item() + 1e-6)


@rule(MODULE_RULES, "Change no parameter or buffer in validation_step and the hooks around it.")
def a_validation_changes_nothing(module: LightningModule, data: LightningDataModule, folder: Path) -> str | None:
    """Otherwise weights depend on how often one looks at them."""
    seen = batches_of(data, folder).validation  # of a fit: data may have to learn from the training's first
    if not seen:
        return None
    before = deepcopy(dict(module.state_dict()))
    module.train()
    loader: Any = DataLoader(seen, batch_size=None)  # type: ignore[arg-type] # a list is a data set
    make_trainer(folder).validate(module, loader, verbose=False)
    names = differing(before, module.state_dict())
    if names:
        return f"{names} differ."
    return None if module.training else "the module is left in eval mode."


@rule(MODULE_RULES, "Use no statistics of the batch in eval mode.")
def a_prediction_does_not_depend_on_the_rest_of_the_batch(
    module: LightningModule, data: LightningDataModule, folder: Path
) -> str | None:
    """The rows of a batch are predicted alike together and in two halves."""
    seen = batches_of(data, folder)
    batches = seen.prediction or seen.test or seen.validation
    if not batches or not all(isinstance(part, Tensor) for part in _parts(batches[0])) or isinstance(batches[0], dict):
        return None
    half = len(next(leaves(batches[0]))) // 2
    parts = [_rows(batches[0], rows) for rows in (slice(None), slice(half), slice(half, None))]
    loader: Any = DataLoader(parts, batch_size=None)  # type: ignore[arg-type] # a list is a data set
    predictions: Any = make_trainer(folder).predict(module, loader) if half else [(), (), ()]
    pairs = zip(*map(leaves, predictions), strict=True)
    same = all(torch.allclose(whole, torch.cat([a, b]), rtol=1e-4, atol=1e-5) for whole, a, b in pairs)
    return None if same else "halves of a batch are predicted otherwise than the whole."


def _parts(batch: Any) -> tuple[Any, ...]:
    return tuple(batch) if isinstance(batch, list | tuple) else (batch,)


def _rows(batch: Any, rows: slice) -> Any:
    return batch[rows] if isinstance(batch, Tensor) else tuple(part[rows] for part in batch)
