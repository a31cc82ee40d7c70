"""The rules that a data module keeps. Each function's name is a rule, and returns what breaks it."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from blockstep.testing.rules import Rule, rule
from blockstep.testing.trials import batches_of, equal, leaves

DATA_RULES: list[Rule] = []


@rule(DATA_RULES, "Draw from generators of your own, made from a seed, and give one to each loader that shuffles.")
def the_same_seed_gives_the_same_batches(data: LightningDataModule, folder: Path) -> str | None:
    """Two processes with the same seed must train on the same batches, or no result can be repeated."""
    first, second = (batches_of(deepcopy(data), folder, epochs=2) for _ in range(2))
    names = [name for name in vars(first) if not equal(getattr(first, name), getattr(second, name))]
    return f"the batches of {' and '.join(names)} differ from one time to the next." if names else None


@rule(DATA_RULES, "Split by a seed among the arguments, with a generator of its own.")
def held_out_events_do_not_depend_on_the_global_seed(data: LightningDataModule, folder: Path) -> str | None:
    """`validate` may run with another seed than `fit`, and would then evaluate events that were trained on."""
    first, second = (batches_of(deepcopy(data), folder, seed=seed) for seed in (0, 1))
    same = equal(first.validation, second.validation) and equal(first.test, second.test)
    return None if same else "other events are held out with another seed_everything."


@rule(DATA_RULES, "Make everything anew in setup, and add to nothing.")
def setup_may_be_called_again(data: LightningDataModule, folder: Path) -> str | None:
    """Lightning calls `setup` once for each of fit, validate, test and predict."""
    once = batches_of(deepcopy(data), folder)
    data.prepare_data()
    for stage in ("fit", "validate"):
        data.setup(stage)
    again = batches_of(data, folder)
    return None if equal(vars(once), vars(again)) else "the batches are others after a second setup."


@rule(DATA_RULES, "Turn off shuffle in val_dataloader and test_dataloader.")
def validation_sees_the_same_batches_every_time(data: LightningDataModule, folder: Path) -> str | None:
    """Otherwise the metrics of two epochs are not those of the same events."""
    seen = batches_of(data, folder, epochs=2).validation
    half = len(seen) // 2
    return None if equal(seen[:half], seen[half:]) else "the second epoch's batches are others."


@rule(DATA_RULES, "Convert all of them in setup, to float32 as a rule.")
def batches_agree_in_shape_and_type(data: LightningDataModule, folder: Path) -> str | None:
    """A row of a loader looks like every other, and the inputs, the first tensor, are alike in all loaders."""
    seen = batches_of(data, folder)
    inputs: dict[str, Any] = {}
    for name, batches in vars(seen).items():
        looks = {tuple((t.dtype, tuple(t.shape[1:])) for t in leaves(batch)) for batch in batches}
        if len(looks) > 1:
            return f"the batches of {name} are {' and '.join(map(str, looks))}."
        for look in filter(None, looks):
            inputs[name] = look[0]
    return None if len(set(inputs.values())) <= 1 else f"the inputs are {inputs}."


@rule(DATA_RULES, "Drop or fill missing values in setup.")
def inputs_are_finite(data: LightningDataModule, folder: Path) -> str | None:
    """One NaN among the inputs makes all weights NaN after a step."""
    for name, batches in vars(batches_of(data, folder)).items():
        for number, batch in enumerate(batches):
            if any(t.is_floating_point() and not t.isfinite().all() for t in list(leaves(batch))[:1]):
                return f"batch {number} of {name} holds a NaN or an infinity."
    return None


@rule(DATA_RULES, "Return plain values and tensors from state_dict, and restore all of them in load_state_dict.")
def the_state_goes_round(data: LightningDataModule, folder: Path) -> str | None:
    """What `state_dict` returns is saved in each checkpoint, and `load_state_dict` must restore it."""
    fresh = deepcopy(data)
    batches_of(data, folder)
    file = io.BytesIO()
    torch.save(data.state_dict(), file)
    file.seek(0)
    try:
        fresh.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's method raises
        return f"restoring it raises {type(error).__name__}: {str(error).splitlines()[0]}."
    same = _same_state(data.state_dict(), fresh.state_dict())
    return None if same else "state_dict returns something else after load_state_dict."


def _same_state(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same_state(first[key], second[key]) for key in first)
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and equal(first, second)
    return bool(first == second)
