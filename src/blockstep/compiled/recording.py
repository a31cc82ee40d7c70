"""A training step recorded as a list of operations: without it, users would have to write their models in C++.

The step is run once in eager PyTorch, on zeros, and each operation below autograd is recorded: of the forward pass, the
backward pass and the optimizer's update. Views are not recorded, since they compute nothing: a tensor is described by
the array that holds its elements, an offset, a shape and strides. A transpose, for example, is the same array with
other strides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

from blockstep.compiled.operations import ALIASES, OPERATIONS, POINTWISE, SIMPLER, UnsupportedError


@dataclass(eq=False)
class Node:
    """A contiguous array: an input of the step, or the result of an operation.

    Attributes:
        op: The operation's name ("mm", "mul"), or "input".
        shape: The array's shape.
        args: The operation's arguments, with a `Ref` in place of each tensor.
        keywords: Its keyword arguments, likewise.
        update: Whether the operation belongs to the optimizer's update, which is elementwise.
        name: The array's name in the program, for an input.
    """

    op: str
    shape: tuple[int, ...]
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    update: bool = False
    name: str = ""


@dataclass(frozen=True)
class Ref:
    """A tensor, as a strided view of a node's array."""

    node: Node
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def refs(values: Any) -> list[Ref]:
    """Return all tensors among an operation's arguments, in order."""
    if isinstance(values, Ref):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    return [ref for value in values for ref in refs(value)] if isinstance(values, (list, tuple)) else []


class Recorder(TorchDispatchMode):
    """Record every operation that runs while this mode is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Node] = []
        self.update = False
        self._by_storage: dict[int, Node] = {}
        self._keep_alive: list[Tensor] = []  # a freed storage's address could be used again

    def input(self, tensor: Tensor, name: str) -> None:
        """Declare a tensor that the step reads, such as a parameter or a part of the batch.

        Raises:
            UnsupportedError: If it is not of type float32.
        """
        if tensor.dtype != torch.float32:
            raise UnsupportedError(f"a batch must be float32 throughout; there is {tensor.dtype}")
        self._add(tensor, Node("input", tuple(tensor.shape), name=name))

    def ref(self, tensor: Tensor) -> Ref:
        """Return the array that holds a tensor's elements, with offset, shape and strides.

        Raises:
            UnsupportedError: If the tensor is neither an input nor a result of the step.
        """
        node = self._by_storage.get(_storage_id(tensor))
        if node is None:
            raise UnsupportedError("the loss reads a tensor that is neither a parameter nor part of the batch")
        return Ref(node, int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride())

    def _add(self, tensor: Tensor, node: Node) -> None:
        if tensor.dtype not in (torch.float32, torch.bool, torch.int64) or tensor.device.type != "cpu":
            raise UnsupportedError(f"the step makes a {tensor.dtype} tensor on {tensor.device}, not float32 on the CPU")
        self._keep_alive.append(tensor)
        self._by_storage[_storage_id(tensor)] = node

    def _convert(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.ref(value)
        if isinstance(value, (list, tuple)):
            return tuple(self._convert(item) for item in value)
        return value

    def __torch_dispatch__(  # noqa: C901 - a branch for each kind of operation
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
        if name == "lift_fresh" and args[0].numel() == 1:  # a constant in the loss, such as torch.tensor(0.5)
            number = args[0].clone()
            self._add_operation(number, "full", (number.shape, number.item()), {})
            return number
        if _is_view(func, name):
            self._convert(args)  # raises if a tensor is not one of the step's
            return func(*args, **kwargs)
        if name not in OPERATIONS:
            return self._decompose(func, name, args, kwargs)
        given, converted = self._convert(args), {key: self._convert(value) for key, value in kwargs.items()}
        out = func(*args, **kwargs)
        _refuse_unsupported_types(name, args, kwargs, out)
        if not out.is_contiguous():  # a node's array is contiguous, whichever layout eager PyTorch has chosen
            out = out.contiguous()
        if _storage_id(out) not in self._by_storage:  # a conversion to the same type returns its argument
            self._add_operation(out, name, given, converted)
        return out

    def _add_operation(self, out: Tensor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        node = Node(name, tuple(out.shape), args, kwargs, self.update)
        self._add(out, node)
        self.nodes.append(node)

    def _in_place(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record an in-place operation such as `relu_` as a new array, which all later operations read instead."""
        target = args[0]
        whole = target.is_contiguous() and target.untyped_storage().nbytes() == 4 * target.numel()
        plain = name.removesuffix("_")
        if plain not in POINTWISE or not whole or self.ref(target).node.op == "input":
            raise UnsupportedError(f"the step changes a tensor in place ({name})")
        given, converted = self._convert(args), {key: self._convert(value) for key, value in kwargs.items()}
        func(*args, **kwargs)
        self._add_operation(target, plain, given, converted)
        return target

    def _decompose(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run an operation that has no rule as simpler operations, which are recorded in its place."""
        simpler = SIMPLER.get(name) or decomposition_table.get(func, func.decompose)
        try:
            with self:
                out = simpler(*args, **kwargs)
        except (NotImplementedError, RuntimeError, TypeError) as error:
            raise UnsupportedError(f"there is no rule to compile {name}") from error
        if out is NotImplemented:
            raise UnsupportedError(f"there is no rule to compile {name}")
        return out


def _storage_id(tensor: Tensor) -> int:
    # The storage object identifies it: an empty tensor has no address, and a view may start at another one.
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _is_view(func: Any, name: str) -> bool:
    return func.is_view or name in ALIASES


def _refuse_unsupported_types(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
    """Raise if the rules, which compute with floats, would be wrong: integer division, truncation, sums of masks."""
    floats = any(isinstance(a, Tensor) and a.is_floating_point() for a in args)
    converts = name in ("_to_copy", "convert_element_type") and not out.is_floating_point() and floats
    masks = out.dtype is torch.bool and name in ("add", "_to_copy", "convert_element_type")
    integers = out.dtype is torch.int64 and name.startswith("bitwise")
    meant = any(kwargs.get(key) is not None for key in ("rounding_mode", "out"))
    if converts or masks or integers or meant:
        raise UnsupportedError(f"there is no rule to compile {name} of these types")


@dataclass
class Recording:
    """A recorded step.

    Attributes:
        nodes: The operations, in the order in which eager PyTorch ran them.
        parameters: The program's names of the parameters, in training each followed by its optimizer state.
        carried: What a step passes on to the next: for each parameter, these names, each with its new value. Empty for
            a forward pass.
        output: The loss before the update, or the result of a forward pass.
    """

    nodes: list[Node]
    parameters: list[str]
    carried: list[list[tuple[str, Ref]]]
    output: Ref


Update = Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]


def record_step(  # noqa: C901 - the parts of a step, in order
    loss_of: Callable[[dict[str, Tensor], Sequence[Tensor]], Tensor],
    parameters: Mapping[str, Tensor],
    batch: Sequence[Tensor],
    num_states: int,
    num_numbers: int,
    update: Update,
) -> Recording:
    """Record the loss, its gradients and one update.

    Args:
        loss_of: The loss of one batch, as a pure function of all parameters by name and of the batch.
        parameters: The trained parameters.
        batch: Tensors with the shapes and types of one batch. Their values are not used.
        num_states: Number of optimizer state tensors for each parameter. They have the parameter's shape.
        num_numbers: Number of inputs of the update that may change from step to step, such as the learning rate.
        update: Takes (parameter, gradient, states, numbers); returns the new parameter and the new states.

    Raises:
        UnsupportedError: If there is no rule for something in the step.
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
        # The gradient of `a * b` by `a` is `b` itself: without a copy, `b` could be updated before `a` reads it.
        gradients = [g if g is None or recorder.ref(g).node.op != "input" else g.clone() for g in gradients]
        recorder.update = True
        for leaf, gradient, own_states, group in zip(leaves.values(), gradients, states, groups, strict=True):
            if gradient is None:
                raise UnsupportedError("a parameter does not take part in the loss")
            new = update(leaf.detach(), gradient, own_states, numbers)
            carried.append([(name, recorder.ref(value)) for name, value in zip(group, new, strict=True)])
    return Recording(recorder.nodes, [name for group in groups for name in group], carried, recorder.ref(loss))


def record_forward(
    forward: Callable[[dict[str, Tensor], Tensor], Tensor], parameters: Mapping[str, Tensor], x: Tensor
) -> Recording:
    """Record a forward pass.

    Args:
        forward: A pure function of all parameters by name and of the rows, with a result for each row.
        parameters: The parameters.
        x: A tensor with the shape and type of the rows. Its values are not used.

    Raises:
        UnsupportedError: If there is no rule for something in the forward pass.
    """
    recorder = Recorder()
    leaves = {name: torch.zeros(p.shape) for name, p in parameters.items()}
    names = [f"p{i}" for i in range(len(leaves))]
    x = torch.zeros(x.shape, dtype=x.dtype)
    for tensor, name in zip([x, *leaves.values()], ["x0", *names], strict=True):
        recorder.input(tensor, name)
    with recorder:
        result = forward(leaves, x)
    if not hasattr(result, "shape") or tuple(result.shape[:1]) != tuple(x.shape[:1]):
        raise UnsupportedError("the forward pass does not return a tensor with a row for each row of the batch")
    return Recording(recorder.nodes, names, [], recorder.ref(result))
