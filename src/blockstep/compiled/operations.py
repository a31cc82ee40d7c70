"""How each operation of PyTorch is written in C++: without these rules, no step could be compiled.

To support another operation, add a line to one of the tables, or add a function to `SIMPLER` that computes it by
simpler operations. An operation without a rule is decomposed as PyTorch defines it (`torch._decomp`), and is supported
if there are rules for its parts.
"""

import re
from collections.abc import Callable
from math import isinf, isnan
from typing import Any

from torch import Tensor


class UnsupportedError(Exception):
    """The step cannot be compiled. The message gives the reason, and is shown to the user."""


NUMBER = re.compile(r"-?[0-9.]+(e[-+]?[0-9]+)?f|\(?-?INFINITY\)?")
"""A literal of a number, as `literal` writes it, that is not NaN."""

ALIASES = {"_unsafe_view", "_reshape_alias", "lift_fresh"}  # they return views, but their `is_view` is False


# Every comparison with NaN is false, also that with itself: so these return NaN if either is NaN, as torch does. A
# limit that is written as a number is no NaN unless it says so, and needs no comparison with itself.
def _at_least(a: str, low: str | None) -> str:
    return a if low is None else f"({a} < {low}{_or_nan(low)} ? {low} : {a})"


def _at_most(a: str, high: str | None) -> str:
    return a if high is None else f"({a} > {high}{_or_nan(high)} ? {high} : {a})"


def _or_nan(limit: str) -> str:
    return "" if NUMBER.fullmatch(limit) else f" || {limit} != {limit}"


def _logical_and(a: str, b: str) -> str:
    return f"float({a} != 0 && {b} != 0)"


def _logical_or(a: str, b: str) -> str:
    return f"float({a} != 0 || {b} != 0)"


def _logical_not(a: str) -> str:
    return f"float({a} == 0)"


# From the C++ expressions of the arguments' elements to that of the result's element.
POINTWISE: dict[str, Callable[..., str]] = {
    "_to_copy": lambda a: a,
    "abs": lambda a: f"std::fabs({a})",
    "add": lambda a, b, alpha="1.0f": f"({a} + {b})" if alpha == "1.0f" else f"({a} + {alpha} * {b})",
    "bitwise_and": _logical_and,  # of masks; bitwise operations on integers are refused by `recording`
    "bitwise_not": _logical_not,
    "bitwise_or": _logical_or,
    "clamp": lambda a, low=None, high=None: _at_most(_at_least(a, low), high),
    "clamp_max": _at_most,
    "clamp_min": _at_least,
    "clone": lambda a: a,  # never fused, so that it is written to memory
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
    "logical_and": _logical_and,
    "logical_not": _logical_not,
    "logical_or": _logical_or,
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
# From the arguments to the value that all elements have.
CONSTANT: dict[str, Callable[..., Any]] = {
    "full": lambda _, value: value,
    "full_like": lambda _, value: value,
    "ones": lambda _: 1.0,
    "ones_like": lambda _: 1.0,
    "scalar_tensor": lambda value: value,
    "zeros": lambda _: 0.0,
    "zeros_like": lambda _: 0.0,
}
# How OpenMP may add up in another order, the initial total, and the new total from the total {0} and an element {1}.
# OpenMP's own maximum would drop a NaN.
REDUCTION = {
    "sum": ("#pragma omp simd reduction(+ : total)", "0.0f", "{0} + {1}"),
    "amax": ("", "-INFINITY", "({1} > {0} || {1} != {1} ? {1} : {0})"),
}
PRODUCT = ("mm", "bmm")
OPERATIONS = {*POINTWISE, *CONSTANT, *REDUCTION, *PRODUCT, "cat"}


def literal(value: Any) -> str:
    """Return a number as a C++ literal of type float."""
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
    mean = mean if keepdim else mean.sum(dim)  # removes these dimensions, which have size 1
    return square.sum(dim, keepdim) / count, mean


def _var(a: Tensor, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    return _var_mean(a, dim, correction, keepdim)[0]


# Operations as functions of simpler ones, used instead of PyTorch's own decompositions.
SIMPLER: dict[str, Callable[..., Any]] = {
    "addmm": _addmm,
    "binary_cross_entropy": _binary_cross_entropy,
    "binary_cross_entropy_backward": _binary_cross_entropy_backward,
    "mean": _mean,
    "var": _var,
    "var_mean": _var_mean,
}
