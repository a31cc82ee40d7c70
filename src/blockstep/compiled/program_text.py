"""The C++ code of a recorded step: without it, a recording could not be compiled.

The code is one function that takes all steps of a block. Matrix products are calls of a tiled kernel (`matmul.h`).
Elementwise operations are fused into loops between them. At the end of a step, one loop for each parameter updates it
and its optimizer state in place; the old values are no longer needed then. Small matrix products, such as the outer
products at batch size 1, are fused too, so that a weight's gradient need not be written to memory.
"""

from collections import defaultdict
from math import prod
from pathlib import Path
from typing import Any

from blockstep.compiled.operations import CONSTANT, POINTWISE, PRODUCT, REDUCTION, literal
from blockstep.compiled.recording import Node, Recording, Ref, refs

FUSED_DEPTH = 16  # a matrix product whose elements are sums of at most so many terms is fused
ALIGNMENT = 16  # in floats: 64 bytes, the size of a cache line and of the widest vector


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous array."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def _linear_index(offset: int, strides: tuple[int, ...], index: list[str]) -> str:
    """Return the C++ expression of an element's position in memory."""
    terms = [i if s == 1 else f"{i} * {s}" for i, s in zip(index, strides, strict=True) if i != "0" and s]
    return " + ".join(([str(offset)] if offset or not terms else []) + terms)


def _array_dimensions(ref: Ref) -> list[int | None] | None:
    """Return the dimension of the array that each dimension of the reference corresponds to.

    A dimension that is broadcast, or of size 1, has None.

    Returns:
        None if the reference is not the whole array with its dimensions in some order.
    """
    if ref.offset:
        return None
    left = {stride: d for d, stride in enumerate(_contiguous_strides(ref.node.shape)) if ref.node.shape[d] > 1}
    found: list[int | None] = []
    for size, stride in zip(ref.shape, ref.strides, strict=True):
        d = left.pop(stride, None) if size > 1 and stride else None
        if size > 1 and stride and (d is None or ref.node.shape[d] != size):
            return None
        found.append(d)
    return None if left else found


class ProgramText:
    """Write the C++ code of a recorded step.

    Args:
        recording: The step.
        num_numbers: Number of inputs of the optimizer's update, such as the learning rate.
        batch_shapes: Shapes of the tensors of a batch.

    Attributes:
        text: The code.
        scratch: Number of floats of scratch memory that the program needs.
    """

    def __init__(self, recording: Recording, num_numbers: int, batch_shapes: list[tuple[int, ...]]) -> None:
        self._lines: list[str] = []
        self._names: dict[Node, str] = {}
        self._strides: dict[Node, tuple[int, ...]] = {}
        self._lifetimes: dict[Node, list[int]] = {}
        self._statement = 0
        self._choose_arrays(recording)
        for node in recording.nodes:
            if node in self._names:
                self._write_array(node)
        output = recording.output
        self._write_loop(output.shape, [("y", _contiguous_strides(output.shape), output)])
        for group in recording.carried:
            shape = group[0][1].shape
            self._write_loop(shape, [(name, _contiguous_strides(shape), value) for name, value in group])
        self.scratch, places = self._place_arrays()
        self.text = self._assemble(recording, num_numbers, batch_shapes, places)

    def _choose_arrays(self, recording: Recording) -> None:  # noqa: C901 - all reasons in one place
        """Decide which arrays are written to memory. The others are computed where they are used."""
        users: dict[Node, list[tuple[Node | None, Ref]]] = defaultdict(list)
        for node in recording.nodes:
            for ref in refs((node.args, node.keywords)):
                users[ref.node].append((node, ref))
        for _, ref in [(None, recording.output), *(pair for group in recording.carried for pair in group)]:
            users[ref.node].append((None, ref))
        reads_parameters: dict[Node, bool] = {}
        for i, node in enumerate(recording.nodes):
            reads_parameters[node] = any(
                ref.node.name.startswith("p") or (ref.node not in self._names and reads_parameters.get(ref.node, False))
                for ref in refs((node.args, node.keywords))
            )
            by_update = all(user is None or user.update for user, _ in users[node])
            computed_once = len(users[node]) == 1 or by_update
            operand = any(user is not None and user.op in PRODUCT for user, _ in users[node])
            in_place = computed_once and not operand and all(_array_dimensions(r) is not None for _, r in users[node])
            if (node.op in CONSTANT and not operand) or (node.update and in_place and node.op != "clone"):
                continue
            # The last loops overwrite parameters, so there a parameter may be read by its own update only.
            if not in_place or not self._can_fuse(node) or (by_update and reads_parameters[node]):
                self._names[node] = f"b{i}"
                turned = node.op == "mm" and all(_array_dimensions(ref) == [1, 0] for _, ref in users[node])
                self._strides[node] = (1, node.shape[0]) if turned else _contiguous_strides(node.shape)

    @staticmethod
    def _can_fuse(node: Node) -> bool:
        if node.op == "mm":
            return bool(node.args[0].shape[1] <= FUSED_DEPTH)
        if node.op in ("bmm", "cat", "clone"):
            return False
        return node.op not in REDUCTION or prod(node.args[0].shape) == prod(node.shape)

    def _locate(self, ref: Ref) -> tuple[str, int, tuple[int, ...]]:
        """Return the name of a reference's array in the program, with its offset and strides in memory."""
        if ref.node.op == "input":
            return ref.node.name, ref.offset, ref.strides
        self._lifetimes.setdefault(ref.node, [self._statement, self._statement])[1] = self._statement
        own, stored = _array_dimensions(ref), self._strides[ref.node]
        if stored == _contiguous_strides(ref.node.shape) or own is None:
            return self._names[ref.node], ref.offset, ref.strides
        return self._names[ref.node], 0, tuple(0 if d is None else stored[d] for d in own)

    def _value(  # noqa: C901 - a branch for each kind of value
        self, ref: Any, index: list[str], lines: list[str], known: dict[Any, str]
    ) -> str:
        """Return a C++ expression for one element of a reference, or for a number.

        Statements that have to be run before are appended to `lines`; `known` has the variables that they define.
        """
        if not isinstance(ref, Ref):
            return literal(ref)
        index = index[len(index) - len(ref.shape) :]
        index = ["0" if size == 1 else i for i, size in zip(index, ref.shape, strict=True)]
        node = ref.node
        if node.name.startswith("h"):
            return node.name
        if node.op in CONSTANT:
            return literal(CONSTANT[node.op](*node.args))
        if node.op == "input" or node in self._names:
            name, offset, strides = self._locate(ref)
            return f"{name}[{_linear_index(offset, strides, index)}]"
        own = _array_dimensions(ref) or []
        inner = ["0"] * len(node.shape)
        for d, i in zip(own, index, strict=True):
            if d is not None:
                inner[d] = i
        key = (node, tuple(inner))
        if key not in known:
            expression = self._expression(node, inner, lines, known)
            known[key] = f"v{len(known)}"
            lines.append(f"const float {known[key]} = {expression};")
        return known[key]

    def _expression(self, node: Node, index: list[str], lines: list[str], known: dict[Any, str]) -> str:
        """Return the C++ expression that computes one element of an operation's result."""
        if node.op == "mm":
            a, b = node.args
            pairs = [([index[0], str(k)], [str(k), index[1]]) for k in range(a.shape[1])]
            return " + ".join(
                f"{self._value(a, i, lines, known)} * {self._value(b, j, lines, known)}" for i, j in pairs
            )
        if node.op in CONSTANT:
            return literal(CONSTANT[node.op](*node.args))
        if node.op in REDUCTION:
            return self._value(node.args[0], self._argument_index(node, index), lines, known)
        alpha = {"alpha": literal(node.keywords["alpha"])} if "alpha" in node.keywords else {}
        arguments = [None if a is None else self._value(a, index, lines, known) for a in node.args]
        return POINTWISE[node.op](*arguments, **alpha)

    @staticmethod
    def _reduced_dimensions(node: Node) -> set[int]:
        """Return the dimensions that a reduction sums over, or takes the maximum of."""
        rank = len(node.args[0].shape)
        dims = node.args[1] if len(node.args) > 1 and node.args[1] else range(rank)
        return {d % rank for d in dims} if rank else set()

    def _argument_index(self, node: Node, index: list[str], inside: str = "0") -> list[str]:
        """Return the index into a reduction's argument for an index into its result."""
        rank, reduced = len(node.args[0].shape), self._reduced_dimensions(node)
        kept = iter(index) if len(index) < rank else iter([i for d, i in enumerate(index) if d not in reduced])
        return [(inside if inside == "0" else f"{inside}{d}") if d in reduced else next(kept) for d in range(rank)]

    def _write_array(self, node: Node) -> None:
        self._lifetimes[node] = [self._statement, self._statement]
        if node.op in PRODUCT:
            self._write_product(node)
        elif node.op == "cat":
            self._write_cat(node)
        elif node.op in REDUCTION and prod(node.args[0].shape) != prod(node.shape):
            self._write_reduction(node)
        else:
            self._write_loop(
                node.shape, [(self._names[node], self._strides[node], Ref(node, 0, node.shape, self._strides[node]))]
            )
        self._statement += 1

    def _write_product(self, node: Node) -> None:
        a, b = node.args
        (m, k), n = a.shape[-2:], b.shape[-1]
        (a_name, a_offset, a_strides), (b_name, b_offset, b_strides) = self._locate(a), self._locate(b)
        left = (f"{a_name} + {a_offset}", a_strides[-2], a_strides[-1])
        right = (f"{b_name} + {b_offset}", b_strides[-1], b_strides[-2])
        target = self._names[node]
        if node.op == "bmm":
            self._lines.append(f"for (int i = 0; i < {a.shape[0]}; ++i)")
            left, right = (
                (f"{left[0]} + i * {a_strides[0]}", *left[1:]),
                (f"{right[0]} + i * {b_strides[0]}", *right[1:]),
            )
            target += f" + i * {m * n}"
        elif self._strides[node] == (1, m) and m > 1:  # the transpose of A B is stored: compute it as B^T A^T
            m, n, left, right = n, m, right, left
        sizes = f"{m}, {n}, {k}, {left[1]}, {left[2]}, {right[2]}, {right[1]}"
        self._lines.append(f"matmul<{sizes}>({left[0]}, {right[0]}, {target});")

    def _write_cat(self, node: Node) -> None:
        parts, dim = node.args[0], (node.args[1] if len(node.args) > 1 else 0)
        offset, strides = 0, self._strides[node]
        for part in parts:
            self._write_loop(part.shape, [(f"({self._names[node]} + {offset})", strides, part)])
            offset += part.shape[dim] * strides[dim]

    def _write_reduction(self, node: Node) -> None:
        name, shape, reduced = self._names[node], node.args[0].shape, self._reduced_dimensions(node)
        index = [f"i{d}" if size > 1 else "0" for d, size in enumerate(shape)]
        kept = [i for d, i in enumerate(index) if d not in reduced]
        if len(node.shape) == len(shape):
            kept = ["0" if d in reduced else i for d, i in enumerate(index)]
        target = f"{name}[{_linear_index(0, _contiguous_strides(node.shape), kept)}]"
        lines: list[str] = []
        value = self._value(node.args[0], index, lines, {})
        simd, start, combine = REDUCTION[node.op]
        loops = {d: f"for (int i{d} = 0; i{d} < {size}; ++i{d})" for d, size in enumerate(shape) if size > 1}
        outer = [loops[d] for d in loops if d not in reduced]
        inner = [loops[d] for d in loops if d in reduced]
        if max(loops) in reduced:
            body = [*inner[:-1], simd, inner[-1], "{", *lines, f"total = {combine.format('total', value)};", "}"]
            self._lines += [*outer, "{", f"float total = {start};", *body, f"{target} = total;", "}"]
        else:
            self._lines.append(f"std::fill_n({name}, {prod(node.shape)}, {start});")
            body = [
                *outer[:-1],
                "#pragma omp simd",
                outer[-1],
                "{",
                *lines,
                f"{target} = {combine.format(target, value)};",
                "}",
            ]
            self._lines += [*inner, "{", *body, "}"]

    def _write_loop(self, shape: tuple[int, ...], stores: list[tuple[str, tuple[int, ...], Ref]]) -> None:
        """Write one loop nest that computes and stores all values, one element of each at a time."""
        index = [f"i{d}" if size > 1 else "0" for d, size in enumerate(shape)]
        lines: list[str] = []
        known: dict[Any, str] = {}
        targets, values = [], []
        for name, strides, ref in stores:
            targets.append(f"{name}[{_linear_index(0, strides, index)}]")
            if self._names.get(ref.node) == name:
                values.append(self._expression(ref.node, index, lines, known))
            else:
                values.append(self._value(ref, index, lines, known))
        loops = [f"for (int i{d} = 0; i{d} < {size}; ++i{d})" for d, size in enumerate(shape) if size > 1]
        if loops:
            loops.insert(-1, "#pragma omp simd")
        # Compute all values before storing any: an update reads the old parameter and the old state.
        lines += [f"const float r{i} = {value};" for i, value in enumerate(values)]
        lines += [f"{target} = r{i};" for i, target in enumerate(targets)]
        self._lines += [*loops, "{", *lines, "}"]

    def _place_arrays(self) -> tuple[int, dict[Node, int]]:
        """Place each array in the scratch memory. Arrays that are not needed at the same time may share a place."""
        places: dict[Node, int] = {}
        sizes = {node: -(-prod(node.shape) // ALIGNMENT) * ALIGNMENT for node in self._names}
        for node, (first, last) in self._lifetimes.items():
            place = 0
            for other in sorted(places, key=places.__getitem__):
                begin, end = self._lifetimes[other]
                if first <= end and begin <= last and place + sizes[node] > places[other]:
                    place = max(place, places[other] + sizes[other])
            places[node] = place
        return max((places[node] + sizes[node] for node in places), default=0), places

    def _assemble(
        self, recording: Recording, num_numbers: int, batch_shapes: list[tuple[int, ...]], places: dict[Node, int]
    ) -> str:
        """Return the whole source.

        Its function gets the number of steps and pointers: P to each parameter and its optimizer state, X to the data,
        H to the update's inputs for each step, Y to the losses or results, S to the scratch memory.
        """
        return "\n".join(
            [
                Path(__file__).with_name("matmul.h").read_text(),
                'extern "C" void run_block(int64_t steps, float *const *P, const float *const *X, const float *H,',
                "                          float *Y, float *S) {",
                *(f"float *const {name} = P[{i}];" for i, name in enumerate(recording.parameters)),
                *(f"float *const {self._names[node]} = S + {place};" for node, place in places.items()),
                "for (int64_t s = 0; s < steps; ++s) {",
                *(f"const float *const x{i} = X[{i}] + s * {prod(shape)};" for i, shape in enumerate(batch_shapes)),
                *(f"const float h{i} = H[s * {num_numbers} + {i}];" for i in range(num_numbers)),
                f"float *const y = Y + s * {prod(recording.output.shape)};",
                *self._lines,
                "}",
                "}",
                "",
            ]
        )
