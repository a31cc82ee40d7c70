"""What a shell completes."""

import subprocess
from dataclasses import replace

import pytest
from example.cli import APPLICATION
from systems import needs_bash

from blockstep.cli.application import COMMANDS

ASK = """
source ./script
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_example
echo "${COMPREPLY[@]}"
"""

COMPLETED = {
    ("",): f"{' '.join(COMMANDS)} own --help --version",
    ("pre",): "predict",
    ("fit", "--data.batch"): "--data.batch_size",
    ("fit", "--on"): "--on_nan",
    ("predict", "--on"): "",
    ("predict", "--out"): "--output",
    ("fit", "--out"): "",
    ("view", "--po"): "--port" if "view" in COMMANDS else "",  # an extra
    ("own", "--"): "--help --whatever",
    ("fit", "--model.engine", ""): "eager compiled",
    ("fit", "--model.engine", "=", "c"): "compiled",
    ("fit", "--config", ""): "online wide",
    ("fit", "--ckpt_path", ""): "last",
    ("fit", "--model.optimizer", "Adam"): "Adam AdamW Adamax",
    ("fit", "--model.lr_scheduler", "=", "Step"): "StepLR",
    ("view", "--no"): "--no-browser" if "view" in COMMANDS else "",
    ("fit", "--name", ""): "",  # the shell then completes names of files
}


def own(application, command, args):
    """A command of an application's own."""
    import argparse

    parser = argparse.ArgumentParser(command)
    parser.add_argument("--whatever")
    parser.parse_args(args)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The file that completes an application with a command and configs of its own."""
    from contextlib import redirect_stdout

    folder = tmp_path_factory.mktemp("completion")
    for name in ("online", "wide"):
        (folder / f"{name}.yaml").write_text("{}\n")
    application = replace(APPLICATION, commands={"own": ("do", f"{__name__}.own")}, configs=(folder,))
    path = folder / "script"
    with path.open("w") as file, redirect_stdout(file):
        assert application.main(["completion"]) == 0
    return path


@needs_bash
@pytest.mark.parametrize(("words", "completed"), COMPLETED.items(), ids=map(" ".join, COMPLETED))
def test_the_shell_completes_commands_and_the_options_of_each(words, completed, script):
    command = ["bash", "-c", ASK, "bash", "example", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=script.parent)
    assert (done.stdout, done.stderr) == (f"{completed}\n", "")


def test_the_script_is_for_the_program_and_for_no_command(script):
    assert [line for line in script.read_text().splitlines() if line.startswith("complete ")] == [
        "complete -o default -F _example example"
    ]


def test_completion_takes_no_arguments(example, capsys):
    assert example("completion", "bash") == 2
    assert "completion takes no arguments. Got 'bash'." in capsys.readouterr().err
