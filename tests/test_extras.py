"""Each extra is deleted as CONTRIBUTING.md says, and the quick tests still pass."""

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
def test_the_quick_tests_pass_without_an_extra(name, tmp_path):
    for entry in (*COPIED, *(path.name for path in ROOT.glob("*.md"))):
        copy = shutil.copytree if (ROOT / entry).is_dir() else shutil.copy
        copy(ROOT / entry, tmp_path / entry)
    files, lines = EXTRAS[name]
    for file in files:
        remove = shutil.rmtree if (tmp_path / file).is_dir() else Path.unlink
        remove(tmp_path / file)
    if lines:
        text, file = lines
        content = (tmp_path / file).read_text().splitlines(keepends=True)
        kept = [line for line in content if text not in line]
        assert 1 <= len(content) - len(kept) <= 2
        (tmp_path / file).write_text("".join(kept))
    (tmp_path / "tests" / "test_extras.py").unlink()  # it would find the extra missing
    shutil.rmtree(tmp_path / "tests" / "new_project")  # they copy files, whichever there are
    quick = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"]
    # The copy's coverage is not the project's.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    environment["PYTHONPATH"] = str(tmp_path / "src")
    command = [sys.executable, *quick]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:]
