"""The first commit of a new project."""

import os
import shutil
import subprocess
from pathlib import Path

from blockstep.base.errors import RunError

ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables by which git would commit into another repository; a hook's process has them."""


def commit_all(folder: Path, name: str) -> None:
    """Commit a folder's files into a repository of its own, if git is there.

    Args:
        folder: The folder.
        name: The project's name, whose developers are the author if git knows none.

    Raises:
        RunError: If git cannot commit.
    """
    if shutil.which("git") is None:
        return
    _git(folder, "-c", "init.defaultBranch=main", "init", "--quiet")
    _git(folder, "add", "--all")
    author = {"user.name": f"The {name} developers", "user.email": ""}
    missing = [key for key in author if _call(folder, "config", key).returncode != 0]
    words = [word for key in missing for word in ("-c", f"{key}={author[key]}")]
    _git(folder, *words, "-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", f"--message=Start {name}")


def _git(folder: Path, *words: str) -> None:
    done = _call(folder, *words)
    if done.returncode != 0:
        raise RunError(f"git could not make the first commit: {done.stderr.strip()}")


def _call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    return subprocess.run(  # noqa: S603 - the words are written above
        ["git", *words],  # noqa: S607 - the one on the path, as people use it
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
