"""What `torch.optim.SGD`, `Adam` and `AdamW` do to one parameter in one step, as pure functions of tensors.

Numbers that change while training, such as the learning rate, are inputs of a compiled program and not part of it:
a scheduler may set them, and no program is built again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

States = Sequence[Tensor]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """An optimizer's arithmetic, as the program does it.

    Attributes:
        states: Names of the state tensors, in the optimizer's own `state`.
        update: `(parameter, gradient, states, numbers)` to the new parameter and the new states.
        numbers: `(settings, number of each step from 1)` to what `update` gets as numbers, each the same in all steps
            or a float64 array over them: not left to the program's float32.
        counts: Whether the optimizer keeps the number of steps in its state.
    """

    states: tuple[str, ...]
    update: Callable[[Tensor, Tensor, States, States], list[Tensor]]
    numbers: Callable[[dict[str, Any], Array], list[float | Array]]
    counts: bool = False


def _sgd(group: dict[str, Any]) -> Rule:
    """`torch.optim.SGD`; the first step's momentum buffer is the gradient itself, undamped."""
    momentum, decay, nesterov = group["momentum"] != 0, group["weight_decay"] != 0, group["nesterov"]

    def update(p: Tensor, g: Tensor, states: States, numbers: States) -> list[Tensor]:
        lr, weight_decay, factor, taken = numbers
        if decay:
            g = g + weight_decay * p
        if not momentum:
            return [p - lr * g]
        buffer = factor * states[0] + taken * g
        return [p - lr * (g + factor * buffer if nesterov else buffer), buffer]

    def numbers(group: dict[str, Any], step: Array) -> list[float | Array]:
        taken = np.where(step == 1, 1.0, 1 - group["dampening"]) if momentum else 1.0
        return [group["lr"], group["weight_decay"], group["momentum"], taken]

    return Rule(("momentum_buffer",) if momentum else (), update, numbers)


def _adam(group: dict[str, Any]) -> Rule:
    """`torch.optim.Adam` and `AdamW` (Kingma & Ba 2015; Loshchilov & Hutter 2019)."""
    decay, decoupled = group["weight_decay"] != 0, group["decoupled_weight_decay"]

    def update(p: Tensor, g: Tensor, states: States, numbers: States) -> list[Tensor]:
        mean, square = states
        keep, weight_decay, rest1, beta2, rest2, step_size, root, eps = numbers
        if decay and decoupled:
            # As an array of its own it is rounded here, as in eager. Fused into a multiply-add, the many small
            # decays would be rounded otherwise, always to the same side.
            p = (p * keep).clone()
        elif decay:
            g = g + weight_decay * p
        mean = mean + rest1 * (g - mean)
        square = square * beta2 + rest2 * g * g
        return [p - step_size * (mean / (square.sqrt() / root + eps)), mean, square]

    def numbers(group: dict[str, Any], step: Array) -> list[float | Array]:
        (beta1, beta2), weight_decay, lr = group["betas"], group["weight_decay"], group["lr"]
        step_size = lr / (1 - beta1**step)
        root = np.sqrt(1 - beta2**step)
        return [1 - lr * weight_decay, weight_decay, 1 - beta1, beta2, 1 - beta2, step_size, root, group["eps"]]

    return Rule(("exp_avg", "exp_avg_sq"), update, numbers, counts=True)


RULES: dict[type[Optimizer], Callable[[dict[str, Any]], Rule]] = {SGD: _sgd, Adam: _adam, AdamW: _adam}
