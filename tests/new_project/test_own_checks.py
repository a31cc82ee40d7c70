"""What `.ci/run` of a new project checks, with this environment, and where no batchlab can be imported."""

from pathlib import Path

import pytest
from extras import EXTRAS, delete
from made import run_in

LINT_IMPORTS = "import importlinter.cli; importlinter.cli.lint_imports_command()"
QUICK = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
CHECKS = {
    "lint": ["-m", "ruff", "check", "--no-cache"],
    "form": ["-m", "ruff", "format", "--check", "--no-cache"],
    "rooms": ["-c", LINT_IMPORTS, "--no-cache"],
    "types": ["-m", "mypy"],
    "all tests are found": [*QUICK, "--collect-only"],
    "kill -9, exact resume, test and predict": [*QUICK, "tests/test_project.py"],
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("check", CHECKS)
def test_a_new_project_passes_its_own_checks(check, project):
    run_in(project, *CHECKS[check])


def test_the_machinery_passes_its_quick_tests_without_the_lesson_and_any_extra_and_as_on_windows(project):
    for files, lines in EXTRAS.values():
        delete(files, lines, project)
    run_in(project, *QUICK, "-m", "not slow", SIMULATE_WINDOWS="1")


@pytest.mark.parametrize("name", ["q", "quark_finder", "a_name_of_20_letters"])
def test_the_lesson_under_another_name_passes_its_own_lint(name, new):
    assert new("own", f"--name={name}", "--example=lesson") == 0
    for check in ("lint", "form", "rooms"):
        run_in(Path("own").resolve(), *CHECKS[check])


def test_the_lesson_under_another_name_passes_its_own_quick_tests(new):
    assert new("own", "--name=quark_finder", "--example=lesson") == 0
    run_in(Path("own").resolve(), *QUICK, "-m", "not slow", "tests/quark_finder", "tests/test_names.py")
