"""The README says in how many commands a clone becomes a project, or a table a run; `.ci/run` runs the former."""

import re
import shlex
import shutil

from made import ROOT, run_in

README = (ROOT / "README.md").read_text("utf-8")


def block(name):
    """The commands of the code below a mark, some of which are continued on a further line."""
    text = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)[1]
    return text.replace("\\\n", " ").splitlines()


def test_the_readme_counts_the_commands_from_a_clone_to_the_first_epoch():
    commands = [command for line in block("own") for command in line.split(" && ")]
    assert f"**{len(commands)} commands" in README
    assert commands[0].startswith("git clone ")
    assert commands[-1].endswith(" fit")


def test_the_readme_counts_the_commands_and_lines_from_a_clone_to_the_first_epoch_on_ones_own_table():
    commands = block("csv")
    assert f"**{len(commands)} commands, and no\nline to write**" in README
    assert commands[0].startswith("git clone ")
    assert not any(">" in command or "<<" in command for command in commands)  # none writes a file


def test_the_last_of_these_commands_trains_on_a_table(tmp_path):
    shutil.copy(ROOT / "examples/table/iris.csv", tmp_path / "flowers.csv")
    program, *words = shlex.split(block("csv")[-1])
    assert program == ".venv/bin/batchlab"
    shutil.copytree(ROOT / "src", tmp_path / "src")
    run_in(tmp_path, "-m", "batchlab", *words, PYTHONPATH=str(tmp_path / "src"))
    assert (tmp_path / "runs/flowers/version_0/checkpoints/best.ckpt").exists()
