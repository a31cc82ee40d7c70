"""What the tests of `batchlab new` share."""

import shutil
from pathlib import Path

import pytest

from batchlab.cli import main


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch):
    """The command in this process: words in, exit status out."""

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["batchlab", "new", *words])
        return main()

    return run


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "own"
    assert main(["new", str(path), "--name=quark_finder"]) == 0
    return path


@pytest.fixture
def project(_made: Path, tmp_path: Path) -> Path:
    """A new project, which the test may change."""
    return shutil.copytree(_made, tmp_path / "own")
