"""The updates of SGD, Adam and AdamW as pure functions: without them, only a step's gradients could be compiled.

Numbers that may change during training, such as the learning rate, are inputs of the compiled program. So a scheduler
can change them, and the program is not compiled again.
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
    """How an optimizer updates one parameter in one step.

    Attributes:
        states: Names of a parameter's state tensors in `optimizer.state`.
        update: Takes (parameter, gradient, states, numbers); returns the new parameter and the new states.
        numbers: Takes (parameter group, step numbers counted from 1); returns the `numbers` of `update`. Each is a
            float for all steps, or an array with a value for each step. They are computed in float64, and only the
            results are rounded to the program's float32.
        counts: Whether `optimizer.state` has the number of steps, under "step".
    """

    states: tuple[str, ...]
    update: Callable[[Tensor, Tensor, States, States], list[Tensor]]
    numbers: Callable[[dict[str, Any], Array], list[float | Array]]
    counts: bool = False


def _sgd(group: dict[str, Any]) -> Rule:
    """Return the rule of `torch.optim.SGD`. Its first step fills the momentum buffer without dampening."""
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
    """Return the rule of `torch.optim.Adam` or `AdamW` (Kingma & Ba 2015; Loshchilov & Hutter 2019)."""
    decay, decoupled = group["weight_decay"] != 0, group["decoupled_weight_decay"]

    def update(p: Tensor, g: Tensor, states: States, numbers: States) -> list[Tensor]:
        mean, square = states
        keep, weight_decay, rest1, beta2, rest2, step_size, root, eps = numbers
        if decay and decoupled:
            # `clone` has the product rounded to float32 and written to memory, as in eager. A fused multiply-add
            # would not round it, and the differences would all have the same sign and add up over many steps.
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
