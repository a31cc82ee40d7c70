"""What an optimizer keeps for each parameter: without it, a saved state could only be trusted."""

import inspect
from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

TRIED = (("meta", False), ("cpu", False), ("cpu", True))
"""Where a step is tried, and whether with sparse gradients. The meta device needs no memory, but has no values."""

State = dict[Any, dict[str, Any]]


def expected_states(optimizer: Optimizer, numbers: Sequence[Any], options: dict[str, Any]) -> State | None:
    """Return what an optimizer keeps for the parameters of a group after a step.

    A second optimizer of the same class takes a step, on parameters of zeros.

    Args:
        optimizer: The optimizer, of a class of torch.
        numbers: The numbers of the group's parameters.
        options: The group's options.

    Returns:
        The state by the parameter's number; None if the class takes no such step.

    Raises:
        ValueError: If the class refuses the options, or its step does on the parameters' device.
    """
    own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    taken = inspect.signature(type(optimizer)).parameters.keys() - {"params"}
    arguments = {key: value for key, value in options.items() if key in taken}
    for device, is_sparse in TRIED:
        zeros = [torch.zeros_like(own[number], device=device, requires_grad=True) for number in numbers]
        try:
            states = _states_after_a_step(type(optimizer)(zeros, **arguments), zeros, is_sparse)
        except AssertionError as error:  # of an option that the device does not have
            if device == own[0].device.type:
                raise ValueError(str(error)) from error
        except (RuntimeError, TypeError):  # it cannot be done there
            continue
        else:
            return {numbers[position]: state for position, state in states.items()}
    return None


def _states_after_a_step(optimizer: Optimizer, parameters: list[Tensor], is_sparse: bool) -> State:
    for parameter in parameters:
        ones = torch.ones_like(parameter)
        parameter.grad = ones.to_sparse() if is_sparse else ones
    losses = count(-1, -1)  # falling, so that LBFGS iterates, and negative, as a loss may be
    optimizer.step(lambda: float(next(losses)))
    states: State = optimizer.state_dict()["state"]
    return states
