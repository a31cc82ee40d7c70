"""Extras are deleted as CONTRIBUTING.md says: what is left can be imported, and its quick tests pass."""

import os
import shutil
import subprocess
import sys

import pytest
from extras import EXTRAS, ROOT, delete

COPIED = ("src", "tests", "configs", "docs", "benchmarks", ".github", "pyproject.toml", "constraints.txt", "LICENSE")


def test_the_listed_extras_are_the_modules_that_call_themselves_one():
    src = ROOT / "src" / "blockstep"
    said = {path for path in src.rglob("*.py") if "This is an extra" in path.read_text().split('"""')[1]}
    named = {ROOT / file for files, _ in EXTRAS.values() for file in files if file.startswith("src")}
    assert all((ROOT / file).exists() for files, _ in EXTRAS.values() for file in files)
    assert {path.parent if path.name == "__init__.py" else path for path in said} == named


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTRAS)
def test_everything_left_can_be_imported_without_an_extra(name, tmp_path):
    copy_without([name], tmp_path)
    assert_pytest_passes(["--collect-only"], tmp_path)


@pytest.mark.slow
def test_the_lessons_commands_pass_their_quick_tests_without_any_extra(tmp_path):
    copy_without(EXTRAS, tmp_path)  # for the machinery's, see tests/new_project/test_own_checks.py
    files = [f"tests/batchlab/test_{name}.py" for name in ("batchlab_cli", "compare", "evaluation", "regimes")]
    assert_pytest_passes(["-x", "-m", "not slow", "tests/test_project.py", *files], tmp_path)


def copy_without(names, folder):
    """Copy this project without some of its extras."""
    for entry in (*COPIED, *(path.name for path in ROOT.glob("*.md"))):
        copy = shutil.copytree if (ROOT / entry).is_dir() else shutil.copy
        copy(ROOT / entry, folder / entry)
    for name in names:
        delete(*EXTRAS[name], folder)
    (folder / "tests" / "test_extras.py").unlink()  # it would find the extra missing
    shutil.rmtree(folder / "tests" / "new_project")  # they copy files, whichever there are


def assert_pytest_passes(options, folder):
    """Run a copy's tests; its coverage is not the project's."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    environment["PYTHONPATH"] = str(folder / "src")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:]
