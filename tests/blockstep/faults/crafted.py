"""Checkpoints that are crafted from a seed: something in them is dropped, replaced, swapped or added."""

import sys
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from example.data import Points
from example.model import Classifier
from torch import Tensor, nn

from blockstep.base.errors import BadInputError
from blockstep.base.stdout_guard import say
from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO

DEPTH = 10_000
OUT = "../../../../victim.txt"
"""From a run's checkpoints to a file that is none of the run's."""

SECTIONS = {
    "state_dict": 3, "optimizer_states": 5, "lr_schedulers": 3, "callbacks": 5, "loops": 4, "hyper_parameters": 3,
    "datamodule_hyper_parameters": 2, "blockstep": 1, "callback_metrics": 1, "block_training": 1, "epoch": 1,
    "global_step": 1, "pytorch-lightning_version": 1,
}  # fmt: skip
"""What is mutated, and how often."""

COUNTED = ("loops", "epoch", "global_step")
"""What only counts: another count contradicts the others."""

KEYWORDS = {
    "strict": False, "hparams_file": "victim.txt", "map_location": "meta", "weights_only": False, "self": 1,
    "checkpoint_path": "x", "trainer": {"max_epochs": 1}, "trainer.max_epochs": 1, "ckpt_path": "victim.txt",
    "name": "../victim", "output": "victim.txt", "config": "victim.txt", "seed_everything": 5, "threads": 10**6,
    "class_path": "os.system", "init_args": {}, "_class_path": "os.system", "_instantiator": "os.system",
    "optimizer.lr": 5.0, "": 1, "a b": 1,
}  # fmt: skip
"""Hyperparameters by the names of other keywords."""


class Crafted(NamedTuple):
    """A checkpoint's content, what was done to it, and whether that may change what a run ends with."""

    content: dict[str, Any]
    what: str
    has_other_values: bool


def craft(content: dict[str, Any], rng: Random) -> Crafted:
    """Mutate a checkpoint once, or sometimes twice."""
    content = deepcopy(content)
    done = [_mutate(content, rng) for _ in range(rng.choice([1, 1, 1, 1, 2]))]
    return Crafted(content, "; ".join(what for what, _ in done), any(values for _, values in done))


def save(content: dict[str, Any], path) -> None:
    """Write a checkpoint as the project does, however deep it is."""
    with _deep_recursion():
        ChecksummedCheckpointIO().save_checkpoint(content, path)


def load_in_python(words: list[str]) -> int:
    """Load the module and the data module of a checkpoint, as a user does in Python; return an exit status."""
    try:
        model = Classifier.load_from_checkpoint(words[0])
        Points.load_from_checkpoint(words[0])
    except BadInputError as error:
        say(f"example: error: {error}")
        return 2
    print("loss", {name: value.tolist() for name, value in model.state_dict().items()})
    return 0


@contextmanager
def _deep_recursion():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _mutate(content: dict[str, Any], rng: Random) -> tuple[str, bool]:
    """Mutate a checkpoint in place; return what was done, and whether it is plain data that has other values now."""
    sections = [section for section in SECTIONS if section in content]
    (section,) = rng.choices(sections, [SECTIONS[section] for section in sections])
    parent, key, path = content, section, section
    while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.85:
        parent = parent[key]
        key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        path += f".{key}"
    if section == "callbacks" and rng.random() < 0.1:
        return _lead_out(content[section]), True
    if "hyper_parameters" in section and rng.random() < 0.3:
        name = rng.choice(list(KEYWORDS))
        content[section][name] = KEYWORDS[name]
        return f"{section}.{name} is {KEYWORDS[name]!r}", False
    if rng.random() < 0.3:
        return _edit(parent, key, path, rng)
    how, values = _replacements(parent[key], section)
    name = rng.choice([name for name in how if key != "num_workers" or name != "huge"])  # it would start processes
    before, parent[key] = parent[key], how[name]()
    # A path is judged by the files that are touched.
    is_path = "path" in str(key) and isinstance(before, str) and isinstance(parent[key], str)
    one_number = isinstance(before, Tensor) and before.numel() == 1 and _alike(before, parent[key])
    return f"{path} is {name}", name in values or is_path or one_number


def _lead_out(states: dict[str, Any]) -> str:
    """Have the callbacks that save checkpoints delete a file outside of the run as soon as there is a better one."""
    for state in states.values():
        if "best_k_models" in state:
            outside, worst = f"{state['dirpath']}/{OUT}", torch.tensor(9e9)
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), outside)
            state.update(paths, best_k_models={outside: worst}, best_model_score=worst, kth_value=worst)
    return "callbacks' checkpoints are a file outside of the run"


def _edit(parent: Any, key: Any, path: str, rng: Random) -> tuple[str, bool]:
    """Drop, rename, swap or add an entry of a mapping or a list."""
    others = [other for other in (parent if isinstance(parent, dict) else range(len(parent))) if other != key]
    kind = rng.choice(["drop", "rename", "swap", "swap", "add"])
    if kind == "swap" and others:
        other = rng.choice(others)
        parent[key], parent[other] = parent[other], parent[key]
        return f"{path} is swapped with {other}", _alike(parent[key], parent[other])
    if kind == "drop":
        del parent[key]
        return f"{path} is dropped", False
    if isinstance(parent, list):
        parent.append(deepcopy(parent[key]))
        return f"{path} is there twice", False
    if kind == "rename":
        outside = str(Path(str(key)).parent / OUT)
        name = rng.choice([f"{key}s", 0, None, "", (1, 2), "x" * 100_000, outside])
        parent[name] = parent.pop(key)
        return f"{path} is renamed to {name!r:.20}", False
    name = rng.choice(["unknown", 7, None, ("a", 1), 1.5])
    parent[name] = rng.choice([1, None, torch.zeros(1), {}, "unknown"])
    return f"{name!r} is added beside {path}", False


def _alike(one: Any, other: Any) -> bool:
    """Whether two values, swapped, are still plain data in their place."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    return type(one) is type(other) and isinstance(one, int | float)


def _replacements(value: Any, section: str) -> tuple[dict[str, Any], set[str]]:
    """Functions that make other values, by name; and the names of those that are plain data in this place."""
    if isinstance(value, Tensor):
        how, values = _for_tensor(value), {"a tensor of other numbers", "nan throughout", "infinite throughout"}
        values |= {"one number in its shape"} if section == "state_dict" else set()
    elif isinstance(value, bool | int | float):
        how, values = _for_number(value), _plain_numbers(value, section)
    elif isinstance(value, str):
        how, values = _for_text(value), set()
    elif isinstance(value, list):
        how, values = {"shorter": lambda: value[:-1], "longer": lambda: [*value, *value[-1:]]}, set()
    else:
        how, values = {}, set()
    return {**how, **_for_anything(value)}, values


def _for_anything(value: Any) -> dict[str, Any]:
    return {
        "none": lambda: None,
        "an empty list": list,
        "an empty mapping": dict,
        "true": lambda: True,
        "a text": lambda: "text",
        "a long text": lambda: "x" * 2_000_000,
        "bytes": lambda: b"\x00\xff",
        "a complex number": lambda: 1j,
        "a set": lambda: {1, 2},
        "a list of it": lambda: [value],
        "a mapping of it": lambda: {"value": value},
        "nested deeply": _nested,
        "a list nested deeply": _nested_list,
        "within itself": _cyclic,
        "a list within itself": _cyclic_list,
        "a class by name": lambda: {"class_path": "os.system", "init_args": {"command": "echo > victim.txt"}},
        "a tensor": lambda: torch.zeros(1),
        "a huge tensor": lambda: torch.zeros(1).expand(2**40),
    }


def _plain_numbers(value: float, section: str) -> set[str]:
    """The replacements of a number that leave it plain data."""
    if section in COUNTED:
        return set()
    settings = {"one less", "huge"} if "hyper_parameters" in section else set()
    settings |= {"huge"} if section == "callbacks" and type(value) is not bool else set()
    settings |= ({"one less"} if value >= 1 else set()) | ({"a fraction"} if isinstance(value, float) else set())
    return {"another number", *settings}


def _for_number(value: float) -> dict[str, Any]:
    other = (lambda: not value) if isinstance(value, bool) else lambda: value + 1 if type(value) is int else value / 2
    return {
        "another number": other,
        "one less": lambda: value - 1,
        "negative": lambda: -1 - abs(value),
        "nan": lambda: float("nan"),
        "infinite": lambda: float("inf"),
        "huge": lambda: 2**40,
        "beyond 64 bits": lambda: 10**30,
        "a fraction": lambda: value + 0.3,
        "a number as text": lambda: str(value),
        "a tensor of it": lambda: torch.tensor(value),
    }


def _for_text(value: str) -> dict[str, Any]:
    return {
        "a path out of the folder": lambda: f"{value}/{OUT}",
        "a path beside it, out of the folder": lambda: str(Path(value).parent / OUT),
        "the path of a file": lambda: "victim.txt",
        "the folder above": lambda: "..",
        "an address": lambda: "http://127.0.0.1:9/x",
        "a text with a NUL byte": lambda: f"{value}\0",
        "half of a letter": lambda: "\ud800",
        "the path of a function": lambda: "os.system",
        "a number for a text": lambda: 1,
    }


def _for_tensor(value: Tensor) -> dict[str, Any]:
    numbers = value.double()
    same = numbers.to(value.dtype) if value.is_floating_point() else numbers
    return {
        "a tensor of other numbers": lambda: (numbers * 0.5 + 0.1).to(value.dtype),
        "nan throughout": lambda: torch.full_like(same, float("nan")),
        "infinite throughout": lambda: torch.full_like(same, float("inf")),
        "zeros(1)": lambda: torch.zeros(1),
        "zeros(0)": lambda: torch.zeros(0),
        "of as many numbers in another shape": lambda: value.reshape(-1) if value.dim() > 1 else value.reshape(1, -1),
        "of one number more": lambda: torch.cat([value.reshape(-1), value.reshape(-1)[:1]]),
        "huge, of one number": lambda: value.reshape(-1)[:1].expand(2**40),
        "one number in its shape": lambda: torch.ones((), dtype=value.dtype).expand(value.shape),
        "a gigabyte, of one number": lambda: value.reshape(-1)[:1].expand(2**28),
        "of float64": lambda: numbers,
        "of float16": value.half,
        "of whole numbers": value.long,
        "of truth values": value.bool,
        "complex": lambda: value.to(torch.complex64),
        "sparse": value.to_sparse,
        "compressed by rows": lambda: value.reshape(1, -1).to_sparse_csr(),
        "quantized": lambda: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.quint8),
        "not contiguous": lambda: torch.stack([value, value], -1)[..., 0],
        "without memory": lambda: value.to("meta"),
        "a parameter": lambda: nn.Parameter(numbers.float()),
        "its numbers": value.tolist,
    }


def _nested() -> Any:
    value: Any = {}
    for _ in range(DEPTH):
        value = {"value": value}
    return value


def _nested_list() -> Any:
    value: Any = []
    for _ in range(DEPTH):
        value = [value]
    return value


def _cyclic() -> Any:
    value: dict[str, Any] = {}
    value["value"] = value
    return value


def _cyclic_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value
