"""What a study has finished, on disk: without this module, a study that was killed would begin anew."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from blockstep.base.atomic_files import remove_unfinished, write_atomically
from blockstep.base.errors import BadInputError
from blockstep.runs.run_folder import NAME
from blockstep.study.plan import Plan
from blockstep.study.table import Curve

MARK = "blockstep_study.json"
"""File in the folder of each study, and in no other: its words, and what makes it another one than others."""

ABOUT = "A study of blockstep. Without this file, the folder is not taken for a study's."

FINISHED = "trainings"
"""The folder of the finished trainings, a file each."""

NUMBERS = ("steps", "events", "values", "seconds", "noise")
"""The arrays of a curve."""


class Store:
    """The folder of a study, locked while it is used.

    Args:
        runs: The folder of all runs.
        name: The study's name, a folder within it.

    Raises:
        BadInputError: If the name is not that of a single folder, or the folder holds something else.
    """

    def __init__(self, runs: Path, name: str) -> None:
        if not NAME.fullmatch(name):
            raise BadInputError(
                "--name must be a folder's name of at most 100 letters, digits, spaces and any of _ + - . "
                f"Got {name!r}."
            )
        self.folder = runs / name
        self._lock: FileLock | None = None
        if self._holds_something_else():
            raise BadInputError(
                f"--name must be that of a study, or new. Got {name!r}, and {self.folder} holds something else."
            )

    @property
    def words(self) -> list[str]:
        """The arguments that the study was started or gone on with last.

        Raises:
            BadInputError: If there is no such study.
        """
        mark = self._mark_or_none()
        if mark is None:
            raise BadInputError(f"--report needs a study that was started. Got {str(self.folder)!r}, which is none.")
        return [str(word) for word in mark["words"]]

    def check(self, plan: Plan) -> None:
        """Raise BadInputError if the folder holds a study that differs in more than values and seeds."""
        mark = self._mark_or_none()
        if mark is None:
            return
        before, now = mark["definition"], json.loads(_as_json(plan.definition))
        different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if different:
            key = different[0]
            raise BadInputError(
                f"--name must be another one for another study. {self.folder} holds one with {key} "
                f"{before.get(key)!r}. Got {now.get(key)!r} instead; or delete that folder."
            )

    def start(self, plan: Plan, words: Sequence[str]) -> None:
        """Lock the folder, and write the study's words into it.

        Raises:
            BadInputError: If another process uses it, or it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / ".lock")
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BadInputError(f"a study must be trained by one process. {self.folder} is used by another.") from error
        except OSError as error:
            raise BadInputError(f"--runs must be a folder that can be written to. Got {error}.") from error
        remove_unfinished(self.folder)
        content = {"about": ABOUT, "words": list(words), "definition": plan.definition}
        write_atomically(self.folder / MARK, _as_json(content).encode())

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.release()

    def finished(self, plan: Plan) -> dict[str, Curve]:
        """Return the curves of the plan's trainings that are finished, by digest."""
        found = {}
        for digest in map(plan.digest, plan.runs):
            curve = _read(self._path(digest))
            if curve is not None:
                found[digest] = curve
        return found

    def keep(self, digest: str, curve: Curve) -> None:
        """Keep a finished training.

        Args:
            digest: The hash of its settings.
            curve: What it has measured.
        """
        numbers = {name: getattr(curve, name).tolist() for name in NUMBERS}
        content = {**vars(curve), "settings": dict(curve.settings), **numbers}
        write_atomically(self._path(digest), _as_json(content).encode())

    def _path(self, digest: str) -> Path:
        return self.folder / FINISHED / f"{digest}.json"

    def _holds_something_else(self) -> bool:
        if not self.folder.exists() or self._mark_or_none() is not None:
            return False
        return not self.folder.is_dir() or any(self.folder.iterdir())

    def _mark_or_none(self) -> dict[str, Any] | None:
        content = _load(self.folder / MARK)
        known = content.keys() == {"about", "words", "definition"} if isinstance(content, dict) else False
        return content if known else None


def _read(path: Path) -> Curve | None:
    """The curve in a file; None if there is none. A failed one is trained again."""
    content = _load(path)
    if not isinstance(content, dict) or content.get("outcome") in (None, "failed"):
        return None
    numbers: dict[str, Any] = {name: np.array(content.pop(name), np.float64) for name in NUMBERS}
    return Curve(**content, **numbers)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, default=str)
