"""One training step, recorded as the list of tensor operations that eager PyTorch runs in it.

Recording runs the step once, for real, and writes down each operation below autograd: forward, backward and the
optimizer's arithmetic. Views cost nothing and are not written down: a tensor is where its numbers lie (which array,
offset, shape, strides), and a transpose is the same array read with other strides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

from batchlab.compiled.operations import ALIASES, OPERATIONS, POINTWISE, SIMPLER, UnsupportedError


@dataclass(eq=False)
class Node:
    """One array: an input of the step, or what one operation wrote.

    Attributes:
        op: The operation's name ("mm", "mul"), or "input".
        shape: The array is contiguous in this shape.
        args: The operation's arguments, tensors replaced by `Ref`.
        keywords: Its keyword arguments, replaced likewise.
        update: Whether it belongs to the optimizer's arithmetic, which goes element by element.
        name: What the program calls the array, for an input.
    """

    op: str
    shape: tuple[int, ...]
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    update: bool = False
    name: str = ""


@dataclass(frozen=True)
class Ref:
    """A tensor: a strided look into a node's array."""

    node: Node
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def refs(values: Any) -> list[Ref]:
    """All tensors among an operation's arguments, in order."""
    if isinstance(values, Ref):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    return [ref for value in values for ref in refs(value)] if isinstance(values, (list, tuple)) else []


class Recorder(TorchDispatchMode):
    """Writes down every operation that runs while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Node] = []
        self.update = False
        self._by_storage: dict[int, Node] = {}
        self._keep: list[Tensor] = []  # a freed array's address would be given to another

    def input(self, tensor: Tensor, name: str) -> None:
        """Declare an array that the step reads, such as a parameter or the batch."""
        if tensor.dtype != torch.float32:
            raise UnsupportedError(f"a batch must be float32 throughout; there is {tensor.dtype}")
        self._add(tensor, Node("input", tuple(tensor.shape), name=name))

    def ref(self, tensor: Tensor) -> Ref:
        """Where a tensor's numbers lie."""
        node = self._by_storage.get(_memory(tensor))
        if node is None:
            raise UnsupportedError("the loss reads a tensor that is neither a parameter nor part of the batch")
        return Ref(node, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())

    def _add(self, tensor: Tensor, node: Node) -> None:
        if tensor.dtype not in (torch.float32, torch.bool, torch.int64) or tensor.device.type != "cpu":
            raise UnsupportedError(f"the step makes a {tensor.dtype} tensor on {tensor.device}, not float32 on the CPU")
        self._keep.append(tensor)
        self._by_storage[_memory(tensor)] = node

    def _convert(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.ref(value)
        if isinstance(value, (list, tuple)):
            return tuple(self._convert(item) for item in value)
        return value

    def __torch_dispatch__(  # noqa: C901 - the kinds of operations, one after the other
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        schema = func._schema  # noqa: SLF001 - no public name says whether an operation writes in place
        name = schema.name.removeprefix("aten::").removeprefix("prims::")
        if torch.Tag.nondeterministic_seeded in func.tags or "dropout" in name or "rand" in name:
            raise UnsupportedError(f"the step draws random numbers ({name})")
        if name.startswith("empty"):
            raise UnsupportedError(f"the step fills new memory in place, as dropout does ({name})")
        if torch.Tag.data_dependent_output in func.tags:
            raise UnsupportedError(f"the step reads a tensor's value into Python ({name})")
        if schema.is_mutable:
            return self._in_place(func, name, args, kwargs)
        if name == "lift_fresh" and args[0].numel() == 1:  # a number written in the loss, as a tensor
            number = args[0].clone()
            self._write(number, "full", (number.shape, number.item()), {})
            return number
        if _is_view(func, name):
            self._convert(args)  # refuses a foreign tensor
            return func(*args, **kwargs)
        if name not in OPERATIONS:
            return self._decompose(func, name, args, kwargs)
        given, converted = self._convert(args), {key: self._convert(value) for key, value in kwargs.items()}
        out = func(*args, **kwargs)
        _refuse_other_meanings(name, args, kwargs, out)
        if not out.is_contiguous():  # arrays are contiguous here, whatever layout eager has chosen
            out = out.contiguous()
        if _memory(out) not in self._by_storage:  # a conversion to the same type returns its argument
            self._write(out, name, given, converted)
        return out

    def _write(self, out: Tensor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        node = Node(name, tuple(out.shape), args, kwargs, self.update)
        self._add(out, node)
        self.nodes.append(node)

    def _in_place(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation such as `relu_`: a new array, which all later readers of the old one's memory get."""
        target = args[0]
        whole = target.is_contiguous() and target.untyped_storage().nbytes() == 4 * target.numel()
        plain = name.removesuffix("_")
        if plain not in POINTWISE or not whole or self.ref(target).node.op == "input":
            raise UnsupportedError(f"the step changes a tensor in place ({name})")
        given, converted = self._convert(args), {key: self._convert(value) for key, value in kwargs.items()}
        func(*args, **kwargs)
        self._write(target, plain, given, converted)
        return target

    def _decompose(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run an operation without a rule of its own as the simpler ones that PyTorch says it is made of."""
        simpler = SIMPLER.get(name) or decomposition_table.get(func, func.decompose)
        try:
            with self:
                out = simpler(*args, **kwargs)
        except (NotImplementedError, RuntimeError, TypeError) as error:
            raise UnsupportedError(f"there is no rule to compile {name}") from error
        if out is NotImplemented:
            raise UnsupportedError(f"there is no rule to compile {name}")
        return out


def _memory(tensor: Tensor) -> int:
    # Which storage it is: an empty tensor has no address, and views have addresses of their own.
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _is_view(func: Any, name: str) -> bool:
    return func.is_view or name in ALIASES


def _refuse_other_meanings(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
    """Refuse what a rule for float arithmetic would get wrong: integer division, truncation, sums of masks."""
    floats = any(isinstance(a, Tensor) and a.is_floating_point() for a in args)
    converts = name in ("_to_copy", "convert_element_type") and not out.is_floating_point() and floats
    masks = out.dtype is torch.bool and name in ("add", "_to_copy", "convert_element_type")
    integers = out.dtype is torch.int64 and name.startswith("bitwise")
    meant = any(kwargs.get(key) is not None for key in ("rounding_mode", "out"))
    if converts or masks or integers or meant:
        raise UnsupportedError(f"there is no rule to compile {name} of these types")


@dataclass
class Recording:
    """A step as data: what it runs, what it writes back, and its loss.

    Attributes:
        nodes: The operations, in the order in which eager ran them.
        carried: For each parameter, its own array and its optimizer state's, each with its value after the step.
        loss: The loss before the update.
    """

    nodes: list[Node]
    carried: list[list[tuple[str, Ref]]]
    loss: Ref


Update = Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]


def record_step(  # noqa: C901 - a recording from its first line to its last
    loss_of: Callable[[dict[str, Tensor], Sequence[Tensor]], Tensor],
    parameters: Mapping[str, Tensor],
    batch: Sequence[Tensor],
    num_states: int,
    num_numbers: int,
    update: Update,
) -> Recording:
    """Record the loss, its gradients and one update.

    Args:
        loss_of: The loss of one batch, given all parameters by name; pure.
        parameters: The trained parameters.
        batch: Tensors of the shapes of one batch; their values do not matter.
        num_states: Optimizer state tensors of each parameter's own shape.
        num_numbers: Numbers that the update reads anew in each step, such as the learning rate.
        update: `(parameter, gradient, states, numbers)` to the new parameter and the new states.

    Raises:
        UnsupportedError: The step does something that no rule covers.
    """
    recorder = Recorder()
    leaves = {name: torch.zeros(p.shape, requires_grad=True) for name, p in parameters.items()}
    batch = [torch.zeros(part.shape, dtype=part.dtype) for part in batch]
    numbers = [torch.ones(()) for _ in range(num_numbers)]
    states = [[torch.zeros(p.shape) for _ in range(num_states)] for p in leaves.values()]
    for i, part in enumerate(batch):
        recorder.input(part, f"x{i}")
    for i, number in enumerate(numbers):
        recorder.input(number, f"h{i}")
    groups: list[list[str]] = []
    for leaf, own_states in zip(leaves.values(), states, strict=True):
        first = sum(len(group) for group in groups)
        groups.append([f"p{first + j}" for j in range(1 + num_states)])
        for tensor, name in zip([leaf.detach(), *own_states], groups[-1], strict=True):
            recorder.input(tensor, name)
    carried: list[list[tuple[str, Ref]]] = []
    with recorder, torch.enable_grad():
        loss = loss_of(leaves, batch)
        if prod(loss.shape) != 1:
            raise UnsupportedError(f"the loss of a batch must be one number, not of shape {tuple(loss.shape)}")
        gradients: Sequence[Any] = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        # A gradient that is another parameter's own array would have been updated before it is read.
        gradients = [g if g is None or recorder.ref(g).node.op != "input" else g.clone() for g in gradients]
        recorder.update = True
        for leaf, gradient, own_states, group in zip(leaves.values(), gradients, states, groups, strict=True):
            if gradient is None:
                raise UnsupportedError("a parameter does not take part in the loss")
            new = update(leaf.detach(), gradient, own_states, numbers)
            carried.append([(name, recorder.ref(value)) for name, value in zip(group, new, strict=True)])
    return Recording(recorder.nodes, carried, recorder.ref(loss))
