"""Did you mean …?: without this module, a typo would be refused, and what was meant would have to be looked up."""

from collections.abc import Iterable
from difflib import SequenceMatcher

MOST = 3
"""The most words that are suggested."""

SIMILAR = 0.75
"""From which ratio of `difflib` on a word counts as meant. It is 1 for equal words."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question that follows a message about an unknown word; empty if no known word is like it.

    Keys are compared by their last parts, so that `--lr` finds `--model.optimizer.lr`.

    Args:
        word: What was given.
        known: What could have been given.

    Example:
        >>> did_you_mean("--model.widht", ["--model.width", "--model.depth"])
        ' Did you mean --model.width?'
        >>> did_you_mean("adam", ["Adam", "SGD"])
        ' Did you mean Adam?'
        >>> did_you_mean("rows", ["depth"])
        ''
    """
    scores = {name: _likeness(word.lower(), name.lower()) for name in known}
    likely = sorted((name for name in scores if scores[name] >= (SIMILAR,)), key=scores.__getitem__, reverse=True)
    same = [name for name in likely if scores[name] == (1, 1)]
    found = same or likely[:MOST]
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _likeness(word: str, known: str) -> tuple[float, float]:
    """How much two words are alike by their last parts, and as a whole."""
    short, long = (text.lstrip("-").rpartition(".")[2] for text in (word, known))
    part_of = len(short) > 2 and short in long  # noqa: PLR2004 - one or two letters are part of many words
    return max(SIMILAR * part_of, _ratio(short, long)), _ratio(word, known)


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()
