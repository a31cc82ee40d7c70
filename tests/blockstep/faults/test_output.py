import os
import subprocess
import sys
from pathlib import Path

import pytest
from systems import needs_bash, needs_posix_files

from blockstep.checkpoints.checkpoint_file import read_checkpoint

FULL = Path("/dev/full")
only_with_a_full_device = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
pytestmark = [pytest.mark.slow, needs_posix_files, only_with_a_full_device]
FIT = ["fit", "--data.num_validation=20"]


def run_example(*words, unbuffered="", **options):
    """Run a command in a process of its own; return its exit status, and what it printed on standard error."""
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered, **options.pop("env", {})}
    options = {"stderr": subprocess.PIPE, "text": True} | options
    command = [sys.executable, "-m", "example", *words]
    done = subprocess.run(command, check=False, env=environment, timeout=120, **options)
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["fit", "--help"], FIT], ids=" ".join)
def test_output_that_cannot_be_written_is_one_message_and_status_1(words, unbuffered):
    with FULL.open("w") as full:
        status, said = run_example(*words, unbuffered=unbuffered, stdout=full)
    assert status == 1
    (line,) = said.splitlines()
    assert line.startswith("example: error: standard output cannot be written: [Errno 28] No space left on device")


def test_messages_that_cannot_be_written_change_no_exit_status():
    with FULL.open("w") as full:
        assert run_example("fit", "--bad=1", stderr=full)[0] == 2


@needs_bash
def test_a_reader_that_closes_the_pipe_ends_the_run_quietly_and_what_was_saved_is_kept():
    fit = f"{sys.executable} -m example {' '.join(FIT)} --data.num_training=100 --trainer.max_epochs=100000"
    words = ["bash", "-c", f"{fit} | head -2000 | tail -1; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 141
    assert done.stdout.startswith("epoch = ")
    assert done.stderr == ""
    assert read_checkpoint(Path("runs/run/version_0/checkpoints/last.ckpt"))["global_step"] > 10


def test_a_reader_that_closes_the_pipe_before_anything_is_saved_leaves_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    assert run_example(*FIT, unbuffered="1", stdout=writer) == (141, "")
    os.close(writer)
    assert not Path("runs").exists()


def test_a_name_that_the_terminal_cannot_show_is_printed_as_codes():
    status, said = run_example(*FIT, "--name=läuft", env={"PYTHONIOENCODING": "ascii"}, stdout=subprocess.DEVNULL)
    assert (status, said) == (0, "")
    assert Path("runs/läuft/version_0/checkpoints/last.ckpt").exists()


@needs_bash
@pytest.mark.parametrize("words", [["--version"], ["fit", "--help"], FIT], ids=" ".join)
def test_a_closed_standard_output_is_no_output(words):
    command = f"{sys.executable} -m example {' '.join(words)} >&-"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
