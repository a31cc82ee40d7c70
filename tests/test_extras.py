"""Extras are deleted as CONTRIBUTING.md says: what is left can be imported, and its quick tests pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tests", "configs", "docs", "benchmarks", ".github", "pyproject.toml", "constraints.txt", "LICENSE")


def listed():
    """The extras of CONTRIBUTING.md: name, files to delete, and the text and file of the lines to delete."""
    table = re.search("<!-- extras -->(.*)<!-- /extras -->", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    for row in table.strip().splitlines()[2:]:
        name, files, lines = (cell.strip() for cell in row.strip("|").split("|"))
        yield name, re.findall("`(.*?)`", files), re.findall("`(.*?)`", lines)


EXTRAS = {name: (files, lines) for name, files, lines in listed()}


def test_the_listed_extras_are_the_modules_that_call_themselves_one():
    src = ROOT / "src" / "blockstep"
    said = {path for path in src.rglob("*.py") if "This is an extra" in path.read_text().split('"""')[1]}
    named = {ROOT / file for files, _ in EXTRAS.values() for file in files if file.startswith("src")}
    assert {path.parent if path.name == "__init__.py" else path for path in said} == named


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTRAS)
def test_everything_left_can_be_imported_without_an_extra(name, tmp_path):
    copy_without([name], tmp_path)
    assert_pytest_passes(["--collect-only"], tmp_path)


@pytest.mark.slow
def test_the_quick_tests_pass_without_any_extra(tmp_path):
    copy_without(EXTRAS, tmp_path)
    assert_pytest_passes(["-x", "-m", "not slow"], tmp_path)


def copy_without(names, folder):
    """Copy this project without some of its extras."""
    for entry in (*COPIED, *(path.name for path in ROOT.glob("*.md"))):
        copy = shutil.copytree if (ROOT / entry).is_dir() else shutil.copy
        copy(ROOT / entry, folder / entry)
    for name in names:
        delete(*EXTRAS[name], folder)
    (folder / "tests" / "test_extras.py").unlink()  # it would find the extra missing
    shutil.rmtree(folder / "tests" / "new_project")  # they copy files, whichever there are


def delete(files, lines, folder):
    """Delete the files of an extra, and the lines that name it."""
    for file in files:
        remove = shutil.rmtree if (folder / file).is_dir() else Path.unlink
        remove(folder / file)
    if lines:
        text, file = lines
        content = (folder / file).read_text().splitlines(keepends=True)
        kept = [line for line in content if text not in line]
        assert 1 <= len(content) - len(kept) <= 2
        (folder / file).write_text("".join(kept))


def assert_pytest_passes(options, folder):
    """Run a copy's tests; its coverage is not the project's."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    environment["PYTHONPATH"] = str(folder / "src")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:]
