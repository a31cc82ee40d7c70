"""A block of training steps in one call: without it, each operation of each step would be a separate call of PyTorch.

`recording` records the operations of one step in eager PyTorch, `program_text` writes them as C++, and `program_cache`
compiles the program or loads it from disk. The program reads and writes the memory of the parameters and of the
optimizer's state. So checkpoints, schedulers and eager steps in between find the values that `optimizer.step()` would
have left there.
"""

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from blockstep.compiled.operations import UnsupportedError
from blockstep.compiled.optimizer_rules import RULES
from blockstep.compiled.program_cache import load
from blockstep.compiled.program_text import ProgramText
from blockstep.compiled.recording import record_step

Addresses = ctypes.Array[ctypes.c_void_p]

MOST_STEPS = 2**53
"""Beyond, a float does not count."""


def unsupported(module: nn.Module, optimizer: Optimizer | None = None) -> str | None:
    """Return why this module cannot be compiled, or trained with this optimizer.

    Returns:
        None if no reason is known before recording a step.
    """
    parameters = list(module.parameters())
    training = _optimizer_reasons(optimizer, parameters) if optimizer else ()
    return next(chain(training, _parameter_reasons(parameters), _module_reasons(module)), None)


def _optimizer_reasons(optimizer: Optimizer, parameters: list[nn.Parameter]) -> Iterator[str]:
    if type(optimizer) not in RULES:
        yield f"the optimizer is {type(optimizer).__name__}; compiled are {', '.join(r.__name__ for r in RULES)}"
    if len(optimizer.param_groups) != 1:
        yield f"the optimizer has {len(optimizer.param_groups)} parameter groups, not one"
    group = optimizer.param_groups[0]
    if {id(p) for p in group["params"]} != {id(p) for p in parameters}:
        yield "the optimizer does not train exactly the module's parameters"
    yield from (f"the optimizer's {f} is set" for f in ("maximize", "amsgrad", "differentiable") if group.get(f))
    if isinstance(group["lr"], Tensor):
        yield "the learning rate is a tensor, not a number"
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:  # noqa: SLF001 - no public name
        yield "the optimizer has step hooks"


def _parameter_reasons(parameters: list[nn.Parameter]) -> Iterator[str]:
    if len({p.data_ptr() for p in parameters}) != len(parameters):
        yield "two parameters share their memory"
    for p in parameters:
        if p.dtype != torch.float32 or p.device.type != "cpu" or not p.is_contiguous() or not p.requires_grad:
            yield f"a parameter is {p.dtype} on {p.device}: all must be float32, on the CPU, contiguous and trained"
    # Hooks have no public name that says whether there are any.
    if any(p._backward_hooks or p._post_accumulate_grad_hooks for p in parameters):  # noqa: SLF001
        yield "a parameter has a gradient hook"


def _module_reasons(module: nn.Module) -> Iterator[str]:
    if next(module.buffers(), None) is not None:
        yield "the module has buffers, which a step may change (batch norm does)"
    if any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 and m.training for m in module.modules()):  # noqa: SLF001
        yield "the module has dropout, which draws random numbers"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(part, name) for part in module.modules() for name in hooks):
        yield "the module has hooks"


class _Loss(nn.Module):
    """A loss as a module that contains the trained module, so that `functional_call` can replace its parameters."""

    def __init__(self, module: nn.Module, batch_loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module, self.batch_loss = module, batch_loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.batch_loss(*batch)


@dataclass
class _Program:
    """A loaded program and its scratch memory for intermediate results."""

    run: Any
    scratch: Tensor
    rows: list[tuple[int, ...]]
    """The shape of a row of each tensor of the batch."""


class CompiledBlock:
    """Take all steps of a block in one call, for one module, one optimizer and one loss.

    Example:
        ```
        block = CompiledBlock(net, optimizer, lambda x, t: loss(net(x), t), (x[:10], t[:10]))
        losses = block.run(x, t)  # one epoch: as many steps as x has batches of 10
        ```

    Args:
        module: The module to train.
        optimizer: The module's `SGD`, `Adam` or `AdamW`. Its learning rate and other numbers may change between calls.
        batch_loss: The loss of one batch, `batch_loss(*batch)`. It must be a pure function of the batch and the
            parameters. It is called once for each batch size, and only its operations on tensors are recorded: Python
            numbers become constants of the program, and side effects such as logging do not happen in the steps.
        batch: One full batch, for its shapes.
        say: Called with a message before a program is compiled.
        programs: Programs that several modules share, which must be equal but for their parameters' values: a step is
            recorded of the first module alone. Those that are missing are added. By default, nothing is shared.

    Raises:
        UnsupportedError: If something cannot be compiled, with the reason. Train in eager PyTorch then.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        batch_loss: Callable[..., Tensor],
        batch: Sequence[Tensor],
        say: Callable[[str], None] = print,
        programs: dict[Any, Any] | None = None,
    ) -> None:
        reason = unsupported(module, optimizer)
        if reason:
            raise UnsupportedError(reason)
        self._optimizer, self._say = optimizer, say
        self._loss = _Loss(module, batch_loss)
        self._parameters = dict(module.named_parameters())
        self._rule = RULES[type(optimizer)](optimizer.param_groups[0])
        self._shapes = [tuple(p.shape) for p in self._parameters.values() for _ in range(1 + len(self._rule.states))]
        self._flags = self._current_flags()
        self._batch_size = len(batch[0])
        kind = (type(optimizer), self._flags, *self._shapes, *(tuple(part.shape[1:]) for part in batch))
        self._programs: dict[int, _Program] = {} if programs is None else programs.setdefault(kind, {})
        self.prepare(batch)

    def run(self, *data: Tensor) -> Tensor:
        """Take one step for each batch of the data, in order. The last batch may be shorter than the others.

        Args:
            data: Tensors with the events along their first dimension, of any number of events.

        Returns:
            The loss of each batch before its update, shape (number of steps,).

        Raises:
            UnsupportedError: If the optimizer's settings or a tensor's type are no longer those that were compiled. No
                step has been taken then.
        """
        if self._current_flags() != self._flags:
            raise UnsupportedError("the optimizer's settings have changed in kind: a term is now zero, or no longer")
        if not all(p.requires_grad for p in self._parameters.values()) or len(self._optimizer.param_groups) != 1:
            raise UnsupportedError("not all parameters are trained any longer, or there is another group of them")
        data = tuple(tensor.contiguous() for tensor in data)
        parts = list(self._parts(data))  # a list, so that an UnsupportedError is raised before the first step
        done, carried = self._steps_done(), self._carried()  # in this order, since the state counts as a step
        changed = _checked_addresses(carried, self._shapes)
        losses = []
        for program, count, where in parts:
            losses.append(self._take_steps(program, count, changed, where, done))
            done += count
        torch.autograd.graph.increment_version(carried)  # autograd cannot see that the program has changed them
        return losses[0] if len(losses) == 1 else torch.cat([torch.empty(0), *losses])

    def _parts(self, data: Sequence[Tensor]) -> Iterator[tuple[_Program, int, Addresses]]:
        """Yield program, number of steps and data addresses: of the full batches, and of a shorter last batch."""
        size, rows = self._batch_size, len(data[0])
        cut = rows - rows % size
        for start, stop, step in ((0, cut, size), (cut, rows, rows - cut)):
            if start < stop:
                part = [tensor[start:stop] for tensor in data]
                program = self._programs.get(step) or self.prepare([tensor[:step] for tensor in part])
                yield program, (stop - start) // step, addresses(part, [(len(part[0]), *row) for row in program.rows])

    def prepare(self, batch: Sequence[Tensor]) -> _Program:
        """Return the program for batches of this size. The first call compiles it or loads it from disk.

        Raises:
            UnsupportedError: If the step cannot be compiled, with the reason.
        """
        size = len(batch[0])
        if size not in self._programs:
            width = self._numbers(1, 0).shape[1]

            def loss_of(parameters: dict[str, Tensor], batch: Sequence[Tensor]) -> Tensor:
                named = {f"module.{name}": p for name, p in parameters.items()}
                return functional_call(self._loss, named, tuple(batch))  # type: ignore[no-any-return]

            states = len(self._rule.states)
            recording = record_step(loss_of, self._parameters, batch, states, width, self._rule.update)
            text = ProgramText(recording, width, [tuple(part.shape) for part in batch])
            run = load(text.text, self._say).run_block
            run.restype = None
            self._programs[size] = _Program(run, torch.empty(text.scratch), [tuple(part.shape[1:]) for part in batch])
        return self._programs[size]

    def _take_steps(self, program: _Program, count: int, carried: Addresses, data: Addresses, done: int) -> Tensor:
        numbers, losses = self._numbers(count, done), torch.empty(count)
        program.run(
            ctypes.c_int64(count),
            carried,
            data,
            ctypes.c_void_p(numbers.ctypes.data),
            ctypes.c_void_p(losses.data_ptr()),
            ctypes.c_void_p(program.scratch.data_ptr()),
        )
        if self._rule.counts:
            for p in self._parameters.values():
                self._optimizer.state[p]["step"] += count
        return losses

    def _steps_done(self) -> int:
        """Return the number of steps before this block.

        Raises:
            UnsupportedError: If it is not the same for all parameters: it may come from a checkpoint.
        """
        taken = {self._steps_of(p) for p in self._parameters.values()}
        if len(taken) != 1:
            raise UnsupportedError("the optimizer has taken more steps with one parameter than with another")
        return taken.pop()

    def _carried(self) -> list[Tensor]:
        """Return what the program changes: each parameter, and its state, which is created as torch creates it."""
        return [tensor for p in self._parameters.values() for tensor in (p, *self._states_of(p))]

    def _states_of(self, p: nn.Parameter) -> list[Tensor]:
        if not self._rule.states:
            return []
        state = self._optimizer.state[p]
        for name in self._rule.states:
            if state.get(name) is None:
                state[name] = torch.zeros_like(p)
        if self._rule.counts:
            state.setdefault("step", torch.tensor(0.0))
        return [state[name] for name in self._rule.states]

    def _steps_of(self, p: nn.Parameter) -> int:
        """Return how many steps the optimizer has taken with a parameter.

        SGD does not count its steps. Its rule treats only the first one differently, so any number counts as 1.
        """
        state = self._optimizer.state.get(p, {})
        if not self._rule.counts:
            return int(any(state.get(name) is not None for name in self._rule.states))
        step = state.get("step", 0)
        taken = float(step) if not isinstance(step, Tensor) or step.numel() == 1 else math.nan
        if not (0 <= taken < MOST_STEPS and taken == int(taken)):
            raise UnsupportedError(f"the optimizer's step is not a number of steps: {step}")
        return int(taken)

    def _numbers(self, count: int, done: int) -> NDArray[np.float32]:
        """Return the numbers that the update reads, such as the learning rate: a row for each step."""
        columns = self._rule.numbers(self._optimizer.param_groups[0], np.arange(done + 1.0, done + count + 1))
        table = np.empty((count, len(columns)), np.float32)
        for i, column in enumerate(columns):
            table[:, i] = column
        return table

    def _current_flags(self) -> tuple[bool, ...]:
        """Return which terms the optimizer's update has. A program contains only these."""
        group = self._optimizer.param_groups[0]
        return tuple(bool(group.get(name)) for name in ("momentum", "weight_decay", "nesterov", "maximize", "amsgrad"))


def _checked_addresses(carried: list[Tensor], shapes: Sequence[tuple[int, ...]]) -> Addresses:
    """Return the addresses of tensors that a program changes, which may not overlap."""
    found = addresses(carried, shapes)
    ranges = sorted((start, start + t.nbytes) for start, t in zip(found, carried, strict=True) if t.nbytes)
    if any(end > start for (_, end), (start, _) in pairwise(ranges)):
        raise UnsupportedError("two of the parameters and the optimizer's states share their memory")
    return found


def addresses(tensors: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> Addresses:
    """Return the addresses of tensors, as a C++ program takes them.

    Args:
        tensors: The tensors.
        shapes: The shapes that the program was compiled for.

    Raises:
        UnsupportedError: Unless all have these shapes, are contiguous, float32 and on the CPU, and own their memory.
    """
    for tensor, shape in zip(tensors, shapes, strict=True):
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.shape != shape:
            found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise UnsupportedError(f"a tensor is {found}, and the program is for the shape {shape}")
        if tensor.dtype != torch.float32 or not tensor.is_cpu or not tensor.is_contiguous():
            raise UnsupportedError(f"a tensor is {tensor.dtype} on {tensor.device}, not contiguous float32 on the CPU")
        if tensor.untyped_storage().nbytes() < tensor.nbytes + 4 * tensor.storage_offset():
            raise UnsupportedError("a tensor's memory has been taken from it")
    return (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))
