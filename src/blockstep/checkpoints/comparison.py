"""A checkpoint compared with the run that goes on from it: without it, torch would take over whatever has its size."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.strategies import Strategy
from torch import Tensor
from torch.optim import Optimizer

from blockstep.base.errors import BadInputError
from blockstep.blocks.trainer_steps import callbacks_of
from blockstep.checkpoints.contents import KEY
from blockstep.checkpoints.expected_state import State, expected_states
from blockstep.checkpoints.likeness import Likeness, check_kind, check_length, check_number
from blockstep.checkpoints.patterns import CHOICE, describe, is_number


class CompareContents(Callback):
    """Compare a checkpoint with the callbacks, the weights, the optimizers and the schedulers that it is for.

    Lightning and torch restore whatever has the right key and the right number of parts. What is of another kind is
    refused before the optimizers and the schedulers are restored.
    """

    def __init__(self) -> None:
        self._checkpoint: dict[str, Any] | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Compare the callbacks' states, and keep the checkpoint until there are optimizers.

        Raises:
            BadInputError: If a callback's state is of another kind.
        """
        self._checkpoint = checkpoint
        with _refused(trainer):
            for callback in filter(_is_known, callbacks_of(trainer)):
                _check_callback(callback, checkpoint)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the rest.

        Raises:
            BadInputError: If weights, optimizers or schedulers are of another kind.
        """
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None:
            return
        likeness = Likeness(_is_of_these_versions(checkpoint), _has_precision_of(trainer, checkpoint))
        with _refused(trainer):
            _check_weights(checkpoint["state_dict"], pl_module, likeness)
            if not _is_out_of_sight(trainer):
                _check_optimizers(trainer, checkpoint, likeness)
                _check_schedulers(trainer, checkpoint, likeness)


def _check_callback(callback: Callback, checkpoint: dict[str, Any]) -> None:
    saved, own = checkpoint["callbacks"].get(callback.state_key), callback.state_dict()
    for name, value in own.items() if saved is not None else ():
        key = f"callbacks.{callback.state_key}.{name}"
        if name not in saved and _is_of_these_versions(checkpoint):
            raise ValueError(f"{key} must be there")
        if name in saved and value is not None:
            check_kind(saved[name], value, key)
            # Others may be losses, and nan or negative.
            if type(value) is int and (type(saved[name]) is int or not math.isfinite(saved[name])):
                check_number(saved[name], value, key)


def _check_weights(saved: dict[str, Any], module: LightningModule, likeness: Likeness) -> None:
    own = module.state_dict()
    if module.strict_loading and (others := own.keys() ^ saved.keys()):
        raise ValueError(f"state_dict must have the names of the model's weights. Got others: {min(others)}")
    for name in own.keys() & saved.keys():
        if isinstance(own[name], Tensor):  # not so a state of another form, which only its module knows
            check_kind(saved[name], own[name], f"state_dict.{name}")
            likeness.check_tensor(saved[name], own[name], f"state_dict.{name}")


def _check_optimizers(trainer: Trainer, checkpoint: dict[str, Any], likeness: Likeness) -> None:
    saved = checkpoint.get("optimizer_states", [])
    check_length(saved, trainer.optimizers, "optimizer_states")
    have_states = [
        check_optimizer(states, optimizer, likeness, f"optimizer_states.{number}")
        for number, (states, optimizer) in enumerate(zip(saved, trainer.optimizers, strict=True))
    ]
    # Of several, one may not have stepped yet; and a gradient scaler skips first steps.
    if have_states == [True] and checkpoint["global_step"] and not saved[0]["state"] and "16" not in trainer.precision:
        raise ValueError(f"optimizer_states.0.state must not be empty after {checkpoint['global_step']} steps")


def check_optimizer(saved: dict[str, Any], optimizer: Optimizer, likeness: Likeness, key: str) -> bool:
    """Compare an optimizer's state with what the optimizer could have saved.

    Args:
        saved: The state.
        optimizer: The optimizer, before anything was restored.
        likeness: What they must have in common.
        key: Where the checkpoint holds the state.

    Returns:
        Whether the optimizer keeps something of its steps.

    Raises:
        ValueError: If it could not have saved that; it names the key.
    """
    keeps = False
    groups, states = optimizer.state_dict()["param_groups"], dict(saved["state"])
    check_length(saved["param_groups"], groups, f"{key}.param_groups")
    for number, group in enumerate(groups):
        where = f"{key}.param_groups.{number}"
        expected = _check_group(saved["param_groups"][number], group, optimizer, likeness, where)
        keeps |= any((expected or {}).values())
        for parameter in group["params"]:
            state = states.pop(parameter, None)
            if state and expected is not None:  # there is none before a parameter's first step
                likeness.check(state, expected.get(parameter, {}), f"{key}.state.{parameter}")
    for parameter in states:
        raise ValueError(f"{key}.state must be of the optimizer's parameters. Got one of {parameter!r}")
    return keeps


def check_scheduler(saved: dict[str, Any], scheduler: Any, likeness: Likeness, key: str) -> None:
    """Raise ValueError, naming the key, unless a scheduler could have saved such a state.

    torch makes an attribute of each of its keys. Schedulers of a project's own may add keys later.
    """
    own = scheduler.state_dict()
    if "_last_lr" in own:  # of the optimizer's groups, to which a callback may have added some
        own["_last_lr"] = [group["lr"] for group in scheduler.optimizer.param_groups]
    if not _is_known(scheduler):
        return
    likeness.check(saved, own, key)
    _check_positive(saved, own, key)


def _check_group(
    saved: dict[str, Any], own: dict[str, Any], optimizer: Optimizer, likeness: Likeness, key: str
) -> State | None:
    """Compare a group of parameters, and return the state that each may have; None if that is not known."""
    if saved["params"] != own["params"]:
        raise ValueError(f"{key}.params must be {own['params']}. Got {saved['params']}")
    if not _is_known(optimizer):
        shared = saved.keys() & own.keys()
        likeness.check({name: saved[name] for name in shared}, {name: own[name] for name in shared}, key)
        return None
    likeness.check(saved, own, key)
    for name in (name for name, value in own.items() if value is None):
        CHOICE.check(saved.get(name), f"{key}.{name}")
    try:
        return expected_states(optimizer, own["params"], saved)
    except ValueError as error:  # torch's, for a number out of its range
        raise ValueError(f"{key} must have arguments that {type(optimizer).__name__} takes. {error}") from error


def _check_positive(saved: Any, own: Any, key: str) -> None:
    """Raise ValueError where a number has become 0, by which a scheduler may divide: its step_size, for example.

    Numbers in lists are those of the optimizer's groups, and learning rates may become 0.
    """
    for name in [name for name in own if name in saved] if isinstance(own, Mapping) else range(len(own)):
        value = own[name]
        if isinstance(value, Mapping | list | tuple):
            _check_positive(saved[name], value, f"{key}.{name}")
        elif isinstance(own, Mapping) and is_number(value) and 0 < value < math.inf and not saved[name] > 0:
            raise ValueError(f"{key}.{name} must be more than 0. Got {describe(saved[name])}")


def _check_schedulers(trainer: Trainer, checkpoint: dict[str, Any], likeness: Likeness) -> None:
    saved, configs = checkpoint.get("lr_schedulers", []), trainer.lr_scheduler_configs
    check_length(saved, configs, "lr_schedulers")
    for number, (state, config) in enumerate(zip(saved, configs, strict=True)):
        check_scheduler(state, config.scheduler, likeness, f"lr_schedulers.{number}")


def _is_known(part: Any) -> bool:
    """Whether all that a callback, an optimizer or a scheduler saves is there from its start or its first step."""
    return type(part).__module__.partition(".")[0] in ("blockstep", "lightning", "torch")


def _is_of_these_versions(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was written by this torch and this Lightning. Others may have saved less."""
    saved = checkpoint.get(KEY, {}).get("versions", {})
    return all(saved.get(name, version(name)) == version(name) for name in ("lightning", "torch"))


def _has_precision_of(trainer: Trainer, checkpoint: dict[str, Any]) -> bool:
    precision = str(trainer.precision)
    return bool(checkpoint.get(KEY, {}).get("precision", precision) == precision)


def _is_out_of_sight(trainer: Trainer) -> bool:
    """Whether optimizers and schedulers are saved in another form, or replaced while training.

    Strategies that divide the optimizer over processes do the one, Lightning's weight averaging does the other.
    """
    averages = any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks_of(trainer))
    divides = type(trainer.strategy).optimizer_state is not Strategy.optimizer_state
    return averages or divides or any(hasattr(own, "consolidate_state_dict") for own in trainer.optimizers)


@contextmanager
def _refused(trainer: Trainer) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise BadInputError(
            f"ckpt_path must be a checkpoint of such a run. Got {str(trainer.ckpt_path)!r} instead, which does not "
            f"hold what it must: {error}."
        ) from error
