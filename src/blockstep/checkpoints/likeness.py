"""Whether a saved value is like the run's own: without it, values of the right key would be taken over unseen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blockstep.checkpoints.patterns import describe, is_number

MOST = 2**63
"""No count of steps, epochs or events comes near it."""

NO_MEMORY = "has no memory"


@dataclass(frozen=True)
class Likeness:
    """What a saved value must have in common with the run's own, of which None may become anything.

    Args:
        same_keys: Whether no key may be missing.
        same_precision: Whether floating-point tensors must be of the same type.
    """

    same_keys: bool
    same_precision: bool

    def check(self, saved: Any, own: Any, key: str) -> None:
        """Raise ValueError, naming the key, unless a saved value is like the run's own."""
        if own is None:
            return
        check_kind(saved, own, key)
        if isinstance(own, Mapping):
            self._check_mapping(saved, own, key)
        elif isinstance(own, list | tuple) and own:  # what an empty one will hold is not known before
            self._check_list(saved, own, key)
        elif isinstance(own, Tensor) and isinstance(saved, Tensor):
            self.check_tensor(saved, own, key)
        if is_number(own):
            check_number(saved, own, key)

    def _check_mapping(self, saved: Mapping[Any, Any], own: Mapping[Any, Any], key: str) -> None:
        for name in saved.keys() - own.keys():
            others = (
                f"have the keys {', '.join(map(str, own))} alone. Got {name!r} too"
                if own
                else f"be empty. Got {name!r}"
            )
            raise ValueError(f"{key} must {others}")
        for name, value in own.items():
            if name in saved:
                self.check(saved[name], value, f"{key}.{name}")
            elif self.same_keys:
                raise ValueError(f"{key}.{name} must be there")

    def _check_list(self, saved: Sequence[Any], own: Sequence[Any], key: str) -> None:
        check_length(saved, own, key)
        for number, (part, own_part) in enumerate(zip(saved, own, strict=True)):
            self.check(part, own_part, f"{key}.{number}")

    def check_tensor(self, saved: Tensor, own: Tensor, key: str) -> None:
        """Raise ValueError, naming the key, unless two tensors have the same shape and type."""
        converted = saved.is_floating_point() and own.is_floating_point() and not self.same_precision
        if saved.shape != own.shape or not (saved.dtype == own.dtype or converted):
            raise ValueError(
                f"{key} must be a tensor of shape {tuple(own.shape)} and type {own.dtype}. Got one of "
                f"{tuple(saved.shape)} and {saved.dtype}"
            )
        # The run's own may be without memory: a state that was only tried.
        for form in sorted(_forms(saved) - (_forms(own) - {NO_MEMORY})):
            raise ValueError(f"{key} must be a plain tensor in memory. Got one that {form}")


def _forms(tensor: Tensor) -> set[str]:
    """What makes a tensor of the right shape another one: a step could not write to it, or would write elsewhere."""
    forms = {
        f"is {tensor.layout}": tensor.layout != torch.strided,
        NO_MEMORY: tensor.is_meta,
        "requires a gradient": tensor.requires_grad,
    }
    if not any(forms.values()):  # those of sparse tensors are not one piece
        forms["repeats its numbers"] = tensor.untyped_storage().nbytes() < tensor.nbytes
        forms["is not contiguous"] = not tensor.is_contiguous()
    return {form for form, has in forms.items() if has}


def check_length(saved: Sequence[Any], own: Sequence[Any], key: str) -> None:
    """Raise ValueError unless two lists have as many entries."""
    if len(saved) != len(own):
        raise ValueError(f"{key} must have {len(own)} entries. Got {len(saved)}")


def check_kind(saved: Any, own: Any, key: str) -> None:
    """Raise ValueError unless both are numbers, or texts, or lists, and so on."""
    if _kind(saved) != _kind(own):
        raise ValueError(f"{key} must be {_kind(own)}. Got {describe(saved)}")


def check_number(saved: Any, own: Any, key: str) -> None:
    """Raise ValueError for a number that is negative, not finite or huge, unless the run's own is that too."""
    if isinstance(saved, int) and abs(saved) >= MOST:
        raise ValueError(f"{key} must be a number of at most 64 bits. Got {describe(saved)}")
    value, own_value = float(saved), float(own)
    if math.isnan(value) or (math.isinf(value) and not math.isinf(own_value)):
        raise ValueError(f"{key} must be a finite number. Got {value}")
    if value < 0 <= own_value < math.inf:  # infinity is where a search for the smallest value starts
        raise ValueError(f"{key} must not be negative. Got {value}")


def _kind(value: Any) -> str:
    if is_number(value):
        return "a number"
    kinds = {bool: "true or false", str: "a text", Mapping: "a mapping", list | tuple: "a list", Tensor: "a tensor"}
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), f"a {type(value).__name__}")
