"""The operations that a compiled step may consist of, and how each is written in C++.

To teach it another one, add a line to a table, or say in `SIMPLER` what the operation is made of. Those that stand in
neither are taken apart as PyTorch itself does it (`torch._decomp`), as far as that leads to what stands here.
"""

from collections.abc import Callable
from math import isinf, isnan
from typing import Any

from torch import Tensor


class UnsupportedError(Exception):
    """The step cannot be compiled; the message says why, in words for the user."""


ALIASES = {"_unsafe_view", "_reshape_alias", "lift_fresh"}  # views that PyTorch does not call views


def _at_least(a: str, low: str | None) -> str:
    # a nan stays a nan, as in torch
    return a if low is None else f"({a} < {low} ? {low} : {a})"


def _at_most(a: str, high: str | None) -> str:
    return a if high is None else f"({a} > {high} ? {high} : {a})"


def _both(a: str, b: str) -> str:
    return f"float({a} != 0 && {b} != 0)"


def _either(a: str, b: str) -> str:
    return f"float({a} != 0 || {b} != 0)"


def _not(a: str) -> str:
    return f"float({a} == 0)"


POINTWISE: dict[str, Callable[..., str]] = {
    "_to_copy": lambda a: a,
    "abs": lambda a: f"std::fabs({a})",
    "add": lambda a, b, alpha="1.0f": f"({a} + {b})" if alpha == "1.0f" else f"({a} + {alpha} * {b})",
    "bitwise_and": _both,  # of masks: the rules know no integers
    "bitwise_not": _not,
    "bitwise_or": _either,
    "clamp": lambda a, low=None, high=None: _at_most(_at_least(a, low), high),
    "clamp_max": _at_most,
    "clamp_min": _at_least,
    "clone": lambda a: a,  # never fused: an array of its own
    "convert_element_type": lambda a, _: a,
    "cos": lambda a: f"std::cos({a})",
    "div": lambda a, b: f"({a} / {b})",
    "eq": lambda a, b: f"float({a} == {b})",
    "erf": lambda a: f"std::erf({a})",
    "exp": lambda a: f"std::exp({a})",
    "expm1": lambda a: f"std::expm1({a})",
    "ge": lambda a, b: f"float({a} >= {b})",
    "gt": lambda a, b: f"float({a} > {b})",
    "le": lambda a, b: f"float({a} <= {b})",
    "log": lambda a: f"std::log({a})",
    "log1p": lambda a: f"std::log1p({a})",
    "logical_and": _both,
    "logical_not": _not,
    "logical_or": _either,
    "lt": lambda a, b: f"float({a} < {b})",
    "maximum": _at_least,
    "minimum": _at_most,
    "mul": lambda a, b: f"({a} * {b})",
    "ne": lambda a, b: f"float({a} != {b})",
    "neg": lambda a: f"(-{a})",
    "pow": lambda a, b: f"({a} * {a})" if b == "2.0f" else f"std::pow({a}, {b})",
    "reciprocal": lambda a: f"(1.0f / {a})",
    "relu": lambda a: _at_least(a, "0.0f"),
    "rsqrt": lambda a: f"(1.0f / std::sqrt({a}))",
    "rsub": lambda a, b, alpha="1.0f": f"({b} - {alpha} * {a})",
    "sigmoid": lambda a: f"(1.0f / (1.0f + std::exp(-{a})))",
    "sigmoid_backward": lambda g, y: f"({g} * (1.0f - {y}) * {y})",
    "sign": lambda a: f"(float({a} > 0) - float({a} < 0))",
    "sin": lambda a: f"std::sin({a})",
    "sqrt": lambda a: f"std::sqrt({a})",
    "sub": lambda a, b, alpha="1.0f": f"({a} - {b})" if alpha == "1.0f" else f"({a} - {alpha} * {b})",
    "tanh": lambda a: f"std::tanh({a})",
    "tanh_backward": lambda g, y: f"({g} * (1.0f - {y} * {y}))",
    "threshold_backward": lambda g, a, limit: f"({a} <= {limit} ? 0.0f : {g})",
    "where": lambda c, a, b: f"({c} != 0 ? {a} : {b})",
}
CONSTANT: dict[str, Callable[..., Any]] = {
    "full": lambda _, value: value,
    "full_like": lambda _, value: value,
    "ones": lambda _: 1.0,
    "ones_like": lambda _: 1.0,
    "scalar_tensor": lambda value: value,
    "zeros": lambda _: 0.0,
    "zeros_like": lambda _: 0.0,
}
REDUCTION = {"sum": ("+", "0.0f", "{0} + {1}"), "amax": ("max", "-INFINITY", "({1} > {0} ? {1} : {0})")}
PRODUCT = ("mm", "bmm")
OPERATIONS = {*POINTWISE, *CONSTANT, *REDUCTION, *PRODUCT, "cat"}


def literal(value: Any) -> str:
    """A number as C++ writes it."""
    number = float(value)
    if isnan(number):
        return "NAN"
    if isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    return f"{number!r}f"


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    if beta != 1 or alpha != 1:
        raise UnsupportedError("there is no rule to compile addmm with alpha or beta")
    return bias + a.mm(b)


def _mean(a: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    total = a.sum() if dim is None else a.sum(dim, keepdim)
    return total / (a.numel() // total.numel())


def _binary_cross_entropy(y: Tensor, t: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    each = (t - 1) * (-y).log1p().clamp_min(-100) - t * y.log().clamp_min(-100)
    each = each if weight is None else each * weight
    return each if reduction == 0 else each.mean() if reduction == 1 else each.sum()


def _binary_cross_entropy_backward(
    grad: Tensor, y: Tensor, t: Tensor, weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    each = grad * (y - t) / ((1 - y) * y).clamp_min(1e-12)
    each = each if weight is None else each * weight
    return each / y.numel() if reduction == 1 else each


def _var_mean(a: Tensor, dim: Any = None, correction: float = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    mean = a.mean(dim, keepdim=True)
    square = (a - mean) ** 2
    count = a.numel() // mean.numel() - correction
    mean = mean if keepdim else mean.sum(dim)  # over dimensions of size 1: only drops them
    return square.sum(dim, keepdim) / count, mean


def _var(a: Tensor, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    return _var_mean(a, dim, correction, keepdim)[0]


SIMPLER: dict[str, Callable[..., Any]] = {
    "addmm": _addmm,
    "binary_cross_entropy": _binary_cross_entropy,
    "binary_cross_entropy_backward": _binary_cross_entropy_backward,
    "mean": _mean,
    "var": _var,
    "var_mean": _var_mean,
}
