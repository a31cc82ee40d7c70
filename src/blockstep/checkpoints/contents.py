"""What a checkpoint must hold, written down once: without it, each reader would trust whatever a file holds."""

import re
from collections import OrderedDict
from typing import Any

from blockstep.base.factories import restore_factories
from blockstep.checkpoints.agreement import check_agreement
from blockstep.checkpoints.patterns import (
    ANYTHING,
    COUNT,
    COUNT_OR_NONE,
    MAPPING,
    NUMBER,
    NUMBER_OR_NONE,
    SWITCH,
    TEXT,
    TEXT_OR_NONE,
    Keys,
    ListOf,
    Pattern,
    Rule,
)

KEY = "blockstep"
"""Where a checkpoint holds what is added to Lightning's own entries; see `blockstep.checkpoints.provenance`."""

HYPERPARAMETERS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
"""Where Lightning's checkpoints hold the values that the classes have saved themselves, by groups of keys."""

MOST_LEVELS = 50
"""The most levels of lists and mappings within each other: five times what a run's checkpoint has."""

MOST_VALUES = 10_000_000
"""The most values in a checkpoint, each as often as it occurs. A tensor is one value."""


def _alone(**patterns: Pattern) -> Keys:
    """A mapping of these keys and no others: Lightning makes an attribute of each."""
    return Keys(patterns, others=None)


def _progress(*counts: str, **more: Pattern) -> Keys:
    counted = _alone(**dict.fromkeys(counts, COUNT))
    return _alone(total=counted, current=counted, **more)


STEPS = _progress("ready", "completed")
STARTED = _progress("ready", "started", "completed")
PROCESSED = _progress("ready", "started", "processed", "completed")
BATCHES = _progress("ready", "started", "processed", "completed", is_last_batch=SWITCH)
VERSION = re.compile(r"([2-9]|[1-9]\d+)(\.\d+)+((a|b|rc|\.dev|\.post)\d+)*(\+[a-z\d]+(\.[a-z\d]+)*)?", re.ASCII)
LIGHTNING = Rule(
    "a version of Lightning from 2 on", lambda value: isinstance(value, str) and VERSION.fullmatch(value) is not None
)
PARAMETER = Rule("a parameter's number or name", lambda value: COUNT.holds(value) or TEXT.holds(value))
STATES = Rule(
    "a mapping of parameters to mappings",
    lambda value: isinstance(value, dict) and all(isinstance(state, dict) for state in value.values()),
)
BEST_STATE = Keys(
    {
        "monitor": TEXT_OR_NONE,
        "mode": Rule("min or max", lambda value: value in ("min", "max")),
        "best_model_score": NUMBER_OR_NONE,
        "current_score": NUMBER_OR_NONE,
    }
)
SCORES_STATE = Keys(others=NUMBER)  # numbers by the names of their curves
EVENTS_STATE = Keys({"events": COUNT, "step_events": COUNT})
CONTENTS = Keys(
    {
        "epoch": COUNT,
        "global_step": COUNT,
        "pytorch-lightning_version": LIGHTNING,
        "state_dict": Keys(),
        "loops": Keys(
            {
                "fit_loop": Keys(
                    {
                        "state_dict": Keys(optional={"combined_loader": ListOf(ANYTHING)}),
                        "epoch_progress": PROCESSED,
                        "epoch_loop.state_dict": Keys({"_batches_that_stepped": COUNT}),
                        "epoch_loop.batch_progress": BATCHES,
                        "epoch_loop.scheduler_progress": STEPS,
                        "epoch_loop.automatic_optimization.optim_progress": _alone(
                            optimizer=_alone(step=STEPS, zero_grad=STARTED)
                        ),
                        "epoch_loop.manual_optimization.optim_step_progress": STEPS,
                        "epoch_loop.val_loop.batch_progress": BATCHES,
                    }
                ),
                "validate_loop": Keys({"batch_progress": BATCHES}),
                "test_loop": Keys({"batch_progress": BATCHES}),
                "predict_loop": Keys({"batch_progress": PROCESSED}),
            }
        ),
        "callbacks": Keys(
            optional={
                "BestCheckpoint": BEST_STATE,
                "BestScore": SCORES_STATE,
                "EventsSeen": EVENTS_STATE,
                "FirstLoss": SCORES_STATE,
                "Timer": Keys(optional={"time_elapsed": Keys(others=NUMBER)}),
            },
            others=MAPPING,
        ),
        "optimizer_states": ListOf(
            Keys({"state": STATES, "param_groups": ListOf(Keys({"params": ListOf(PARAMETER)}))})
        ),
        "lr_schedulers": ListOf(MAPPING),
        KEY: Keys(
            {
                "format": COUNT,
                "versions": Keys(others=TEXT),
                "git": TEXT_OR_NONE,
                "config": TEXT,
                "data_sha256": TEXT,
                "precision": TEXT,
                "settings": _alone(model=MAPPING, data=MAPPING),
                "callbacks": Keys(others=COUNT),
                "batches": COUNT_OR_NONE,
                "optimizer_states": ListOf(COUNT),
                "loaders": COUNT,
            }
        ),
    },
    optional={
        "callback_metrics": Keys(others=NUMBER),
        "block_training": Keys({"loss_sum": NUMBER, "loss_rows": COUNT}),
    },
)
"""The entries of a checkpoint, and what each must be. Others may be there too."""


def check_contents(checkpoint: Any) -> None:
    """Raise ValueError, naming the key, unless a checkpoint holds what it must."""
    try:
        CONTENTS.check(checkpoint, "")
        check_agreement(checkpoint, checkpoint[KEY])
    except ValueError as error:
        raise ValueError(f"does not hold what it must: {error}") from error
    for group, where in HYPERPARAMETERS.items():
        for settings in (checkpoint.get(where, {}), checkpoint[KEY]["settings"][group]):
            _check_settings(group, settings)


def check_size(value: Any) -> None:
    """Raise ValueError for a value with too many levels, as one that contains itself has, or too many values."""
    waiting, values = [(value, 0)], 0
    while waiting:
        part, level = waiting.pop()
        values += 1
        if level > MOST_LEVELS:
            raise ValueError(f"has more than {MOST_LEVELS} levels of lists and mappings")
        if values + len(waiting) > MOST_VALUES:
            raise ValueError(f"has more than {MOST_VALUES} values")
        attributes = dict(vars(part)) if isinstance(part, OrderedDict) else {}
        metadata = attributes.pop("_metadata", {})  # torch's, in a state_dict
        if attributes or not isinstance(metadata, dict):
            raise ValueError(f"has a mapping with attributes of its own: {', '.join(attributes) or '_metadata'}")
        if isinstance(part, dict | list | tuple | set):
            waiting += [(inner, level + 1) for inner in (part.values() if isinstance(part, dict) else part)]


def _check_settings(group: str, settings: Any) -> None:
    try:
        restore_factories(settings)
    except ValueError as error:
        words = f"holds hyperparameters that are not data alone: {group}.{error}"
        raise ValueError(words.removesuffix(".")) from error
