"""The README says in how many commands a clone becomes a project of one's own; `.ci/run` runs them."""

import re

from made import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def block(name):
    """The lines of the code below a mark."""
    return re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)[1].splitlines()


def test_the_readme_counts_the_commands_from_a_clone_to_the_first_epoch():
    commands = [command for line in block("own") for command in line.split(" && ")]
    assert f"**{len(commands)} commands" in README
    assert commands[0].startswith("git clone ")
    assert commands[-1].endswith(" fit")
