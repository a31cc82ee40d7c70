"""What all tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchlab.cli import main

ROOT = Path(__file__).parents[1]

pytest.register_assert_rewrite("compared")

Batchlab = Callable[..., int]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs each test where its files bother nobody."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _environment_put_back():
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _programs_shared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled programs are built once for all tests, in a folder of their own."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("BATCHLAB_CACHE", str(folder / "programs"))


@pytest.fixture
def batchlab(monkeypatch: pytest.MonkeyPatch) -> Batchlab:
    """The command line in this process: words in, exit status out."""

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["batchlab", *words])
        return main()

    return run


def config(name: str) -> str:
    """The path of a shipped config."""
    return str(ROOT / "configs" / f"{name}.yaml")
