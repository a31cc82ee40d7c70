"""What the lesson's tests share."""

import pytest

from batchlab.cli import main


@pytest.fixture
def batchlab(monkeypatch: pytest.MonkeyPatch):
    """The command line in this process: words in, exit status out."""

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["batchlab", *words])
        return main()

    return run
