import os
import signal
import time
from pathlib import Path

import pytest
from compared import assert_same
from forked import end, run, start, wait_for, written

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no such signal")]
RUN = Path("runs/minibatch/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
FIT = ["fit", "--data.batch_size=1", "--data.shuffle=true", "--data.num_validation=50"]
FIT += ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
LONG = [*FIT, "--trainer.max_epochs=1000"]
REQUEUED = 128 + signal.SIGUSR1


@pytest.fixture
def job(tmp_path):
    """The environment of a job; its scontrol writes down what it is told."""
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told.txt\n')
    scontrol.chmod(0o755)
    job = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train"}
    job |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    return job | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def told(folder):
    path = folder / "told.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_requeued_job_goes_on_by_the_same_words_in_the_same_folder_and_ends_like_one_that_never_was(job, tmp_path):
    words = [*FIT, "--trainer.max_epochs=12"]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(words, whole) == 0
    for restarts in range(3):
        before = written(tmp_path / LAST)
        process = start(words, tmp_path, environment=job | {"SLURM_RESTART_COUNT": str(restarts)})
        wait_for(tmp_path / LAST, other_than=before)  # so that it is training again
        if restarts < 2:
            assert end(process, signal.SIGUSR1, 0.3) == REQUEUED
            assert told(tmp_path) == ["requeue 77"] * (restarts + 1)
    process.join(60)
    assert process.exitcode == 0
    assert_same(whole / RUN, tmp_path / RUN)
    assert sorted(path.name for path in (tmp_path / RUN).parent.iterdir()) == ["version_0"]
    assert sorted(path.name for path in (tmp_path / RUN).rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert not (tmp_path / RUN / "slurm_job.json").exists()
    said = (tmp_path / "log.txt").read_text()
    assert "SIGUSR1 after" in said
    assert "batchlab: job 77 is requeued." in said
    assert "Traceback" not in said


def test_a_sigterm_before_the_requeue_signal_does_not_end_the_run(job, tmp_path):
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    os.kill(process.pid, signal.SIGTERM)
    saved = (tmp_path / LAST).stat().st_mtime_ns
    process.join(1)
    assert process.exitcode is None
    assert (tmp_path / LAST).stat().st_mtime_ns > saved
    assert end(process, signal.SIGUSR1, 0) == REQUEUED
    assert told(tmp_path) == ["requeue 77"]


def test_an_array_job_with_a_signal_of_its_own_is_requeued_by_its_task(job, tmp_path):
    environment = "lightning.fabric.plugins.environments.SLURMEnvironment"
    words = [*LONG, f"--trainer.plugins={environment}", "--trainer.plugins.requeue_signal=SIGHUP"]
    array = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    process = start(words, tmp_path, environment=job | array)
    wait_for(tmp_path / LAST)
    assert end(process, signal.SIGHUP, 0) == 128 + signal.SIGHUP
    assert told(tmp_path) == ["requeue 12_3"]


def test_another_command_of_a_requeued_job_starts_a_run_of_its_own(job, tmp_path):
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    assert end(process, signal.SIGUSR1, 0) == REQUEUED
    other = ["fit", "--data.num_validation=50"]
    assert run(other, tmp_path, environment=job | {"SLURM_RESTART_COUNT": "1"}) == 0
    assert (tmp_path / "runs/minibatch/version_1" / "checkpoints" / "last.ckpt").exists()


def test_a_requeue_that_fails_is_said_and_the_state_is_saved(job, tmp_path):
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\nexit 4\n")
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    assert end(process, signal.SIGUSR1, 0) == REQUEUED
    said = (tmp_path / "log.txt").read_text()
    assert "batchlab: job 77 is not requeued: scontrol ended with 4." in said
    assert f"batchlab fit --ckpt_path {LAST}" in said


@pytest.mark.parametrize(("number", "requeues"), [(signal.SIGUSR1, 1), (signal.SIGTERM, 0)])
def test_an_evaluation_ends_at_once_and_is_requeued_if_that_was_the_signal(number, requeues, job, tmp_path):
    assert run(["fit", "--data.num_validation=50"], tmp_path) == 0
    process = start(["test", "--ckpt_path=last", "--data.num_test=8000000"], tmp_path, environment=job)
    until = time.monotonic() + 60
    while "test data" not in (tmp_path / "log.txt").read_text():
        assert time.monotonic() < until, "it does not start"
        time.sleep(0.01)
    assert end(process, number, 1) == 128 + number
    assert told(tmp_path) == ["requeue 77"] * requeues
    assert not list(tmp_path.rglob("hpc_ckpt*"))
