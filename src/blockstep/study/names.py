"""Numbers and settings as a report writes them: without it, each figure and sentence would round in its own way."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

SHORT = {"lr": "learning rate", "learning_rate": "learning rate", "batch_size": "batch size"}
"""Names of settings that are written otherwise than their keys."""

DIGITS = 3
"""The significant digits of a large number in a report: seeds do not agree on more."""


MINUTES = 120
"""The seconds from which on a time is written in minutes."""


def setting_name(key: str) -> str:
    """Return what a setting is called, by its full key.

    >>> setting_name("model.optimizer.lr"), setting_name("model.weight_decay")
    ('learning rate', 'weight decay')
    """
    last = key.rpartition(".")[2]
    return SHORT.get(last, last.replace("_", " "))


def as_text(number: float) -> str:
    """Return a number with three significant digits, below 10 with two, thousands apart, and never with an exponent.

    >>> [as_text(number) for number in (0.0316227, 8.41, 14.04, 1725.4, 16_894, 3, float("inf"))]
    ['0.032', '8.4', '14', '1,730', '16,900', '3', 'not reached']
    """
    if not math.isfinite(number):
        return "not reached"
    if number == 0:
        return "0"
    places = math.floor(math.log10(abs(number)))
    decimals = DIGITS - 1 - places if places > 1 else 1 - places
    text = f"{round(number, decimals):,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def label(value: Any) -> str:
    """Return a setting's value as a label: a number as it was given, `None` as "all".

    >>> label(1100), label(0.1), label(1e-05), label(None), label("Adam")
    ('1100', '0.1', '0.00001', 'all', 'Adam')
    """
    if value is None:
        return "all"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:g}"
    return str(value)


def title_of(others: Mapping[str, Any]) -> str:
    """Return the values of further settings as a line; empty without any.

    >>> title_of({"model.width": 16, "model.engine": "eager"})
    'width 16, engine eager'
    """
    return ", ".join(f"{setting_name(key)} {label(value)}" for key, value in others.items())


def seconds_text(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> [seconds_text(seconds) for seconds in (0.00042, 0.25, 12.3, 600)]
    ['0.42 ms', '250 ms', '12 s', '10 min']
    """
    if not math.isfinite(seconds):
        return as_text(seconds)
    if seconds < 1:
        return f"{as_text(1000 * seconds)} ms"
    return f"{as_text(seconds)} s" if seconds < MINUTES else f"{as_text(seconds / 60)} min"


def with_range(value: float, low: float, high: float) -> str:
    """Return a number with its interval; without one, whose ends are NaN, the number alone.

    >>> with_range(28.2, 20, 35.2), with_range(14, math.nan, math.nan), with_range(1725, 1130, math.inf)
    ('28 [20, 35]', '14', '1,720 [1,130, ∞]')
    """
    if math.isnan(low):
        return as_text(value)
    return f"{as_text(value)} [{as_text(low)}, {'∞' if math.isinf(high) else as_text(high)}]"


def listed(words: Sequence[str]) -> str:
    """Return words as a list within a sentence.

    >>> listed(["1", "3", "10"])
    '1, 3 and 10'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def file_name(title: str) -> str:
    """Return a title as the name of a file or a folder; of an empty one, the folder itself.

    >>> file_name("width 16, engine a/b"), file_name("")
    ('width_16_engine_a_b', '')
    """
    return re.sub(r"[^\w.-]+", "_", title).strip("_.")
