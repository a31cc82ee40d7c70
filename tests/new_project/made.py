"""New projects, looked at and run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def texts_of(project):
    """The text of every file of a project, by its path; those of git left out."""
    paths = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts)
    return {path.relative_to(project).as_posix(): path.read_text("utf-8") for path in paths}


def environment_of(project):
    """The environment of a program in a project, where no batchlab can be imported."""
    hidden = project.parent / "hidden"
    hidden.mkdir(exist_ok=True)
    (hidden / "batchlab.py").write_text("raise ImportError('a new project has no batchlab')\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    return kept | {"PYTHONPATH": os.pathsep.join([str(project / "src"), str(hidden)])}


def run_in(project, *words, **environment):
    """Run a program of Python in a project with this interpreter, to its end."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=environment_of(project) | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
