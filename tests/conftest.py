"""What all tests share."""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("compared")
if "SIMULATE_WINDOWS" in os.environ:
    del os.fork, os.mkfifo
    multiprocessing.set_start_method("spawn")


@pytest.fixture(autouse=True, scope="session")
def _compilers_hidden(tmp_path_factory: pytest.TempPathFactory):
    if "SIMULATE_WINDOWS" in os.environ:
        programs = tmp_path_factory.mktemp("path")
        for name in ("git", Path(sys.executable).name):
            (programs / name).symlink_to(shutil.which(name) or sys.executable)
        os.environ["PATH"] = str(programs)
        os.environ.pop("CXX", None)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # commands add the current folder
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _own_modules_forgotten(tmp_path: Path):
    """Let the next test have a module of the same name in its own folder."""
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _programs_shared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build compiled programs once for all tests, in a folder of their own."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("BLOCKSTEP_CACHE", str(folder / "programs"))


@pytest.fixture(autouse=True, scope="session")
def _event_files_in_order() -> None:
    """Number event files from a million on.

    Those that a process writes in the same second are read in alphabetical order, in which the tenth precedes the
    ninth. Outside of tests, no process writes two in a second.
    """
    from tensorboard.summary.writer import event_file_writer

    event_file_writer._global_uid = event_file_writer.AtomicCounter(1_000_000)
