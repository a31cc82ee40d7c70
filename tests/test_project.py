"""The project's own command: its configs train, and a run that is killed goes on as if it had not been.

Nothing here names the project: its command is read from pyproject.toml.
"""

import subprocess
import sys
import time
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest
from compared import assert_same
from processes import run_process

ROOT = Path(__file__).parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
((NAME, MAIN),) = SCRIPTS.items()
PACKAGE = MAIN.split(".")[0]
EPOCHS = (
    "--trainer.max_epochs=20"  # enough to be killed before the last; change it if your epochs are longer or shorter
)
RUN = Path("runs/first/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"


@pytest.fixture
def command(monkeypatch):
    """The command line in this process: words in, exit status out."""

    def run(*words):
        monkeypatch.setattr("sys.argv", [NAME, *words])
        return resolve_name(MAIN)()

    return run


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_trains(path, command):
    assert command("fit", f"--config={path}", "--trainer.max_epochs=1") == 0


def test_a_run_is_tested_and_predicts(command):
    assert command("fit", "--name=first", "--trainer.max_epochs=1") == 0
    assert command("test", f"--ckpt_path={LAST}") == 0
    assert command("predict", f"--ckpt_path={LAST}", "--output=table.csv") == 0
    assert len(Path("table.csv").read_text("utf-8").splitlines()) > 1


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_equals_one_that_was_not():
    assert run_process(PACKAGE, "fit", "--name=whole", "--trainer.default_root_dir=others", EPOCHS).returncode == 0
    process = subprocess.Popen([sys.executable, "-m", PACKAGE, "fit", "--name=first", EPOCHS])
    while process.poll() is None and not LAST.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    resumed = run_process(PACKAGE, "fit", "--ckpt_path=last")
    assert resumed.returncode == 0 or "trainer.max_epochs must be more than" in resumed.stderr
    assert_same(Path("others/whole/version_0"), RUN)
