import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compared import assert_same
from forked import end, output, run, start, wait_for, wait_for_words, wait_until
from systems import needs_fork

from blockstep.checkpoints.checkpoint_file import read_checkpoint

pytestmark = [pytest.mark.slow, needs_fork]
RUN = Path("runs/run/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
LONG = ["fit", "--data.batch_size=1", "--trainer.max_epochs=1000"]
MANY = 8_000_000  # points: to validate them takes much longer than a test
BAR = "--trainer.enable_progress_bar=true"  # says what the process is doing
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
SLOW = """
import time

from lightning.pytorch import Callback


class SlowValidation(Callback):
    def on_validation_batch_end(self, *args):
        time.sleep(0.1)


class SlowEnd(Callback):
    def on_train_end(self, *args):
        print("the end")
        time.sleep(2)
"""
IN_A_RECORD = """
import os, signal, sys

from example.cli import main

entered = 0


def send_a_signal_while_an_event_is_written(frame, event, arg):
    global entered
    entered += event == "call" and frame.f_code.co_filename.endswith("event_writer.py")
    if entered == 20:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGTERM)


sys.setprofile(send_a_signal_while_an_event_is_written)
sys.exit(main(["fit"]))
"""
both_signals = pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)


def end_soon(process, number, seconds=0.0):
    """Like `end`, and it may not take long."""
    process.join(seconds)
    began = time.monotonic()
    status = end(process, number)
    assert time.monotonic() - began < 8, "the process goes on"
    return status


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@both_signals
def test_a_signal_ends_the_run_with_its_state_saved_and_a_message_that_says_how_to_go_on(number, tmp_path):
    process = start(LONG, tmp_path)
    wait_for(tmp_path / LAST)
    assert end(process, number, 0.3) == STATUS[number]
    said = output(tmp_path)
    assert f"{number.name} after" in said
    assert f"example fit --ckpt_path {LAST}" in said
    assert "Traceback" not in said


def test_a_second_signal_ends_the_run_at_once(tmp_path):
    # Within a validation, the first signal waits for a second before the run ends.
    process = start(["fit", f"--data.num_validation={MANY}", "--trainer.num_sanity_val_steps=0", BAR], tmp_path)
    wait_for_words("Validation", tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    process.join(0.1)
    assert process.exitcode is None
    assert end(process, signal.SIGTERM) == -signal.SIGTERM


@both_signals
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_signal_ends_an_evaluation_at_once_and_leaves_nothing_of_it(command, number, tmp_path):
    assert run(["fit"], tmp_path) == 0
    before = files(tmp_path)
    words = [command, "--ckpt_path=last", f"--data.num_test={MANY}", f"--data.num_validation={MANY}", BAR]
    process = start(words, tmp_path)
    wait_for_words("DataLoader 0", tmp_path)
    assert end_soon(process, number, 0.3) == STATUS[number]
    said = output(tmp_path)
    assert said.endswith(f"example: {number.name} ended the command. What was finished before is kept.\n")
    assert "Traceback" not in said
    assert "Detected" not in said
    assert files(tmp_path) == before


@both_signals
def test_a_signal_while_the_data_are_set_up_leaves_nothing(number, tmp_path):
    process = start(["fit", f"--data.num_training={MANY}"], tmp_path)
    wait_for(tmp_path / RUN / "config.yaml")
    assert end_soon(process, number) == STATUS[number]
    assert "before the first step: nothing is left" in output(tmp_path)
    assert files(tmp_path) == ["log.txt"]


@both_signals
def test_a_signal_in_the_validation_before_the_first_step_leaves_nothing(number, tmp_path):
    process = start(["fit", f"--data.num_validation={MANY}", BAR], tmp_path)
    wait_for_words("Sanity Checking DataLoader 0", tmp_path)
    assert end_soon(process, number) == STATUS[number]
    assert "before the first step: nothing is left" in output(tmp_path)
    assert files(tmp_path) == ["log.txt"]


@both_signals
def test_a_signal_before_the_next_step_of_a_resumed_run_leaves_it_as_it_was(number, tmp_path):
    assert run(["fit", f"--data.num_training={MANY}", "--data.batch_size=500000"], tmp_path) == 0
    config, last = tmp_path / RUN / "config.yaml", tmp_path / LAST
    before, first = last.read_bytes(), config.stat().st_ino
    process = start(["fit", "--ckpt_path=last", "--trainer.max_epochs=2"], tmp_path)
    wait_until(lambda: config.stat().st_ino != first, "the writing of the new config")
    assert end_soon(process, number) == STATUS[number]
    assert f"before the next step: {RUN} is as it was" in output(tmp_path)
    assert last.read_bytes() == before


def test_a_run_that_leaves_a_long_validation_at_a_signal_can_go_on_and_ends_like_one_that_did_not(tmp_path):
    words = ["fit", "--data.batch_size=1", "--data.shuffle=true", "--data.num_validation=18000"]
    words += ["--trainer.max_epochs=2", "--trainer.num_sanity_val_steps=0", "--trainer.callbacks+=slow.SlowValidation"]
    words += ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
    whole, left = tmp_path / "whole", tmp_path / "left"
    for folder in (whole, left):
        folder.mkdir()
        (folder / "slow.py").write_text(SLOW)
    process = start([*words, BAR], left, every=0.02)
    wait_for(left / LAST)
    wait_for_words("Validation", left)
    assert end_soon(process, signal.SIGINT) == 130
    assert "SIGINT in the validation after 1100 steps, which was left" in output(left)
    assert f"example fit --ckpt_path {LAST}" in output(left)
    assert run(["fit", f"--ckpt_path={LAST}"], left) == 0
    assert run(words, whole) == 0
    assert_same(whole / RUN, left / RUN)


def test_a_signal_in_the_first_validation_of_a_run_that_has_saved_nothing_leaves_nothing(tmp_path):
    words = ["fit", f"--data.num_validation={MANY}", "--trainer.num_sanity_val_steps=0", BAR]
    process = start(words, tmp_path, every=3600)
    wait_for_words("Validation", tmp_path)
    assert end_soon(process, signal.SIGINT) == 130
    assert "Nothing was saved yet, and nothing is left." in output(tmp_path)
    assert files(tmp_path) == ["log.txt"]


@both_signals
def test_a_signal_after_the_last_step_saves_the_end_and_says_that_the_run_is_complete(number, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    process = start(["fit", "--trainer.callbacks+=slow.SlowEnd"], tmp_path)
    wait_for_words("the end", tmp_path)
    assert end_soon(process, number) == STATUS[number]
    assert f"{number.name} came after the last step: the run is complete." in output(tmp_path)
    assert read_checkpoint(tmp_path / LAST)["global_step"] == 110
    assert run(["fit", "--ckpt_path=last"], tmp_path) == 2  # nothing is left to train


def test_ctrl_c_that_reaches_the_workers_too_ends_the_run_as_it_does_without_them(tmp_path):
    words = [*LONG, "--data.num_workers=2", "--data.block_size=10"]
    with (tmp_path / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "example", *words]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    wait_for(tmp_path / LAST)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert f"example fit --ckpt_path {LAST}" in output(tmp_path).splitlines()[-1]
    assert "Traceback" not in output(tmp_path)


def test_a_signal_while_an_event_is_written_ends_the_command():
    done = subprocess.run([sys.executable, "-c", IN_A_RECORD], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 143
    assert "SIGTERM before the first step: nothing is left." in done.stderr
