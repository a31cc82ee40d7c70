import os
import subprocess
import sys

import pytest
from processes import HEAVY, UNUSED_IN_FIT, modules_after
from systems import needs_bash


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import blockstep.cli.application"],
        *(["-m", "example", *more] for more in ([], ["--help"], ["--version"])),
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_imports_nothing_heavy(words):
    modules = modules_after(*words)
    assert "blockstep.cli.application" in modules
    assert not HEAVY & modules


@pytest.mark.slow
def test_a_fit_imports_nothing_that_it_does_not_use():
    assert not UNUSED_IN_FIT & modules_after("-m", "example", "fit", "--data.num_validation=50")


@needs_bash
@pytest.mark.slow
def test_the_shell_completes_options(tmp_path):
    environment = os.environ | {"JSONARGPARSE_ADD_PRINT_COMPLETION_ARGUMENT": "true"}
    command = [sys.executable, "-m", "example", "fit", "--print_completion=shtab-bash"]
    script = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment).stdout
    (tmp_path / "completion").write_text(script)
    ask = "source completion; COMP_WORDS=(example fit --data.batch); COMP_CWORD=2; _shtab_example_fit; "
    ask += 'echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert done.stdout == "--data.batch_size\n"
