"""What the machinery's tests share: the example application."""

import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))  # for processes


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """The example's command line in this process: words in, exit status out."""
    from example.cli import main

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["example", *words])
        return main()

    return run
