"""What a rule is, and how it is checked."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BrokenRuleError(AssertionError):
    """An extension breaks one of the rules. The message says which, what was found, and what to do."""


@dataclass(frozen=True)
class Rule:
    """A rule, by name, with what to do if it is broken.

    Args:
        name: The rule as a sentence, with underscores.
        find: Returns what was found to break it, or None. It gets copies of the extension, and an empty folder last.
        advice: What to do.
    """

    name: str
    find: Callable[..., str | None]
    advice: str


@dataclass(frozen=True)
class Check:
    """A rule and the extension that is to keep it."""

    rule: Rule
    subjects: tuple[Any, ...]

    def __call__(self) -> None:
        """Raise BrokenRuleError if the rule is broken, or the extension fails as it is tried."""
        try:
            found, cause = self._find(), None
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            found, cause = f"trying it raises {type(error).__name__}: {error}".splitlines()[0] + ".", error
        if found:
            name, sentence = type(self.subjects[0]).__name__, self.rule.name.replace("_", " ")
            raise BrokenRuleError(f"{name} breaks the rule that {sentence}: {found} {self.rule.advice}") from cause

    def _find(self) -> str | None:
        logger = logging.getLogger("lightning.pytorch")
        level = logger.level
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's, about trainings that are as short as these
            logger.setLevel(logging.ERROR)
            try:
                return self.rule.find(*map(deepcopy, self.subjects), Path(folder))
            finally:
                logger.setLevel(level)


def rule(rules: list[Rule], advice: str) -> Callable[[Callable[..., str | None]], Callable[..., str | None]]:
    """Add the decorated function to a list, as a rule of its name."""

    def add(find: Callable[..., str | None]) -> Callable[..., str | None]:
        rules.append(Rule(find.__name__, find, advice))
        return find

    return add


def check_all(checks: Iterable[Check]) -> None:
    """Make all checks; then raise BrokenRuleError if any failed."""
    broken = []
    for check in checks:
        try:
            check()
        except BrokenRuleError as error:
            broken.append(str(error))
    if broken:
        raise BrokenRuleError("\n".join(broken))
