import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compared import assert_same
from forked import end, run, start, wait_for

from batchlab.checkpoint import read_checkpoint

pytestmark = pytest.mark.slow
LAST = Path("runs/online/version_0/checkpoints/last.ckpt")
LONG = ["fit", "--name=online", "--data.batch_size=1", "--trainer.max_epochs=1000", "--data.num_validation=50"]
MANY = 8_000_000  # events, which take much longer than a test
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
both_signals = pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)


def wait_for_words(words, folder, seconds=60):
    """Waits until a process has said something."""
    wait_for(folder / "log.txt")
    until = time.monotonic() + seconds
    while words not in (folder / "log.txt").read_text():
        assert time.monotonic() < until, f"{words!r} is not said"
        time.sleep(0.01)


def end_soon(process, number, seconds=0.0):
    """As `end`, and it may not take long."""
    process.join(seconds)
    began = time.monotonic()
    status = end(process, number, 0)
    assert time.monotonic() - began < 8, "it goes on"
    return status


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@both_signals
def test_a_signal_ends_the_run_with_its_state_saved_and_says_how_to_go_on(number, tmp_path):
    process = start(LONG, tmp_path, every=0.05)
    wait_for(tmp_path / LAST)
    assert end(process, number, 0.3) == STATUS[number]
    said = (tmp_path / "log.txt").read_text()
    assert f"{number.name} after" in said
    assert f"batchlab fit --ckpt_path {LAST}" in said
    assert "Traceback" not in said


def test_a_second_signal_ends_it_at_once(tmp_path):
    slow = [*LONG[:3], "--data.batch_size=1000000", "--data.num_background=1000000", "--trainer.max_epochs=50"]
    process = start(slow, tmp_path, every=0.05)
    wait_for(tmp_path / "runs/online/version_0/config.yaml")
    process.join(3)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    process.join(30)
    assert process.exitcode in (-signal.SIGTERM, 143)


@both_signals
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_signal_ends_an_evaluation_at_once_and_leaves_nothing_of_it(command, number, tmp_path):
    assert run(["fit", "--data.num_validation=50"], tmp_path) == 0
    before = files(tmp_path)
    words = [command, "--ckpt_path=last", f"--data.num_test={MANY}", f"--data.num_validation={MANY}"]
    process = start(words, tmp_path)
    wait_for_words(f"data: x ({MANY}, 2)", tmp_path)
    assert end_soon(process, number, 1) == STATUS[number]
    said = (tmp_path / "log.txt").read_text()
    assert said.splitlines()[-1] == f"batchlab: {number.name} ended the command. What was finished before is kept."
    assert "Traceback" not in said
    assert "Detected" not in said
    assert files(tmp_path) == before


@both_signals
def test_a_signal_before_the_first_step_leaves_nothing(number, tmp_path):
    process = start(["fit", f"--data.num_background={MANY}"], tmp_path)
    wait_for(tmp_path / "runs/minibatch/version_0/config.yaml")
    assert end_soon(process, number, 0.2) == STATUS[number]
    assert "before the first step: nothing is left" in (tmp_path / "log.txt").read_text()
    assert files(tmp_path) == ["log.txt"]


@both_signals
def test_a_signal_before_the_next_step_of_a_run_that_goes_on_leaves_it_as_it_was(number, tmp_path):
    assert run(["fit", f"--data.num_background={MANY // 4}", "--data.batch_size=500000"], tmp_path) == 0
    folder = tmp_path / "runs/minibatch/version_0"
    before = (folder / "checkpoints/last.ckpt").read_bytes()
    written = (folder / "config.yaml").stat().st_ino
    process = start(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"], tmp_path)
    while (folder / "config.yaml").stat().st_ino == written:  # written once more as the run goes on
        time.sleep(0.001)
    assert end_soon(process, number) == STATUS[number]
    assert f"before the next step: {folder.relative_to(tmp_path)} is as it was" in (tmp_path / "log.txt").read_text()
    assert (folder / "checkpoints/last.ckpt").read_bytes() == before


def test_a_run_that_leaves_a_long_validation_at_a_signal_goes_on_and_ends_like_one_that_never_did(tmp_path):
    words = ["fit", "--name=online", "--data.batch_size=1", "--data.shuffle=true", "--data.num_validation=300000"]
    words += ["--trainer.max_epochs=2", "--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
    (tmp_path / "whole").mkdir()
    (tmp_path / "left").mkdir()
    process = start([*words, "--trainer.enable_progress_bar=true"], tmp_path / "left", every=0.02)
    wait_for(tmp_path / "left" / LAST)
    wait_for_words("Validation", tmp_path / "left")
    assert end_soon(process, signal.SIGINT) == 130
    said = (tmp_path / "left" / "log.txt").read_text()
    assert "SIGINT in the validation after 1100 steps, which was left" in said
    assert f"batchlab fit --ckpt_path {LAST}" in said
    assert run(["fit", f"--ckpt_path={LAST}"], tmp_path / "left") == 0
    assert run(words, tmp_path / "whole") == 0
    assert_same(tmp_path / "whole" / LAST.parents[1], tmp_path / "left" / LAST.parents[1])


def test_a_signal_in_the_first_validation_of_a_run_that_has_saved_nothing_leaves_nothing(tmp_path):
    words = ["fit", f"--data.num_validation={MANY // 8}", "--trainer.enable_progress_bar=true"]
    process = start(words, tmp_path, every=3600)
    wait_for_words("Validation", tmp_path)
    assert end_soon(process, signal.SIGINT) == 130
    assert "Nothing was saved yet, and nothing is left." in (tmp_path / "log.txt").read_text()
    assert files(tmp_path) == ["log.txt"]


@both_signals
def test_a_signal_after_the_last_step_saves_the_end_and_says_that_the_run_is_complete(number, tmp_path):
    process = start(["fit", "--data.num_validation=50"], tmp_path)
    wait_for_words("epoch = 0", tmp_path)  # the figures follow
    assert end_soon(process, number) == STATUS[number]
    assert f"{number.name} came after the last step: the run is complete." in (tmp_path / "log.txt").read_text()
    last = tmp_path / "runs/minibatch/version_0/checkpoints/last.ckpt"
    assert read_checkpoint(last)["global_step"] == 110
    assert run(["fit", "--ckpt_path=last"], tmp_path) == 2  # nothing is left to train


@both_signals
def test_a_signal_ends_all_of_a_comparison(number, tmp_path):
    process = start(["compare", f"--data.num_validation={MANY // 8}"], tmp_path)
    wait_for(tmp_path / "runs/batch/version_0/config.yaml")
    assert end_soon(process, number, 3) == STATUS[number]
    said = (tmp_path / "log.txt").read_text()
    assert number.name in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not (tmp_path / "runs/online").exists()


def test_ctrl_c_that_reaches_the_workers_too_ends_the_run_as_it_does_without_them(tmp_path):
    words = [*LONG, "--data.num_workers=2", "--data.block_size=10"]
    with (tmp_path / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "batchlab", *words]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    wait_for(tmp_path / LAST)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    said = (tmp_path / "log.txt").read_text()
    assert f"batchlab fit --ckpt_path {LAST}" in said.splitlines()[-1]
    assert "Traceback" not in said
