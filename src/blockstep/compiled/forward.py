"""A forward pass as one program: without it, validating would take several times as long as compiled training."""

import ctypes
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from blockstep.compiled.block import addresses, unsupported
from blockstep.compiled.operations import UnsupportedError
from blockstep.compiled.program_cache import load
from blockstep.compiled.program_text import ProgramText
from blockstep.compiled.recording import record_forward

ROWS = 192
"""Rows that the program computes at a time, so that their activations stay in the processor's cache."""


class CompiledForward:
    """Compute `module(x)` for any number of rows in one call. No row may depend on the others.

    Args:
        module: The module, whose parameters are read anew in each call. It must keep its parts: see `is_of`.
        x: Some rows, for their shape and type.
        say: Called with a message before the program is compiled.
        programs: As in `CompiledBlock`.

    Raises:
        UnsupportedError: If something cannot be compiled, with the reason.
    """

    def __init__(
        self,
        module: nn.Module,
        x: Tensor,
        say: Callable[[str], None] = print,
        programs: dict[Any, Any] | None = None,
    ) -> None:
        reason = unsupported(module)
        if reason:
            raise UnsupportedError(reason)
        self._parameters = dict(module.named_parameters())
        self._parts = _parts(module)
        self._shapes = [tuple(p.shape) for p in self._parameters.values()]
        self._width = tuple(x.shape[1:])
        kept = {} if programs is None else programs
        kind = ("forward", self._width, *self._shapes)
        if kind not in kept:
            kept[kind] = self._compile(module, x, say)
        self._run, self._scratch, self._result = kept[kind]

    def _compile(self, module: nn.Module, x: Tensor, say: Callable[[str], None]) -> tuple[Any, Tensor, tuple[int, ...]]:
        """Return the program, its scratch memory, and the shape of a row of the result."""

        def forward(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(module, parameters, (x,))  # type: ignore[no-any-return]

        with torch.inference_mode(False), torch.no_grad():  # in inference mode, other operations are recorded
            recording = record_forward(forward, self._parameters, x.new_empty(ROWS, *self._width))
        text = ProgramText(recording, 0, [(ROWS, *self._width)])
        run = load(text.text, say).run_block
        run.restype = None
        return run, torch.empty(text.scratch), recording.output.shape[1:]

    def is_of(self, module: nn.Module) -> bool:
        """Whether the program still computes what the module does: none of its parts was replaced or given a hook."""
        parts = _parts(module)
        same = len(parts) == len(self._parts) and all(map(operator.is_, parts, self._parts))
        return same and unsupported(module) is None

    def __call__(self, x: Tensor) -> Tensor:
        """Return `module(x)`.

        Raises:
            UnsupportedError: If the rows or the parameters are not of the shape and type that were compiled.
        """
        if x.shape[1:] != self._width:
            raise UnsupportedError(f"a row has the shape {tuple(x.shape[1:])}, and had {self._width}")
        x = x.contiguous()
        whole = len(x) - len(x) % ROWS
        results = torch.empty(len(x), *self._result)
        if whole:
            self._compute(x[:whole], results)
        if whole < len(x):
            padded, result = x.new_zeros(ROWS, *self._width), torch.empty(ROWS, *self._result)
            padded[: len(x) - whole] = x[whole:]
            self._compute(padded, result)
            results[whole:] = result[: len(x) - whole]
        return results

    def _compute(self, x: Tensor, results: Tensor) -> None:
        self._run(
            ctypes.c_int64(len(x) // ROWS),
            addresses(list(self._parameters.values()), self._shapes),
            addresses([x], [(len(x), *self._width)]),
            None,
            ctypes.c_void_p(results.data_ptr()),
            ctypes.c_void_p(self._scratch.data_ptr()),
        )


def _parts(module: nn.Module) -> list[Any]:
    return [*module.modules(), *module.parameters()]
