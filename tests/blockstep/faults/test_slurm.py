import os
import signal
from pathlib import Path

import pytest
from compared import assert_same
from forked import end, output, run, start, wait_for, wait_for_words, written
from systems import needs_fork, needs_posix_files

pytestmark = [pytest.mark.slow, needs_fork]
RUN = Path("runs/run/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
FIT = ["fit", "--data.batch_size=1", "--data.shuffle=true", "--data.num_validation=50"]
FIT += ["--model.optimizer=Adam", "--model.optimizer.lr=0.001"]
LONG = [*FIT, "--trainer.max_epochs=1000"]
REQUEUE = getattr(signal, "SIGUSR1", 0)  # Windows has no such signal
REQUEUED = 128 + REQUEUE


@pytest.fixture
def job(tmp_path):
    """The environment of a job, with a program scontrol that writes down its arguments."""
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls.txt\n')
    scontrol.chmod(0o755)
    job = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train"}
    job |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    return job | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def scontrol_calls(folder):
    path = folder / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_requeued_job_goes_on_by_the_same_command_in_the_same_folder_and_ends_like_one_that_was_not(job, tmp_path):
    words = [*FIT, "--trainer.max_epochs=12"]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert run(words, whole) == 0
    for restarts in range(3):
        before = written(tmp_path / LAST)
        process = start(words, tmp_path, environment=job | {"SLURM_RESTART_COUNT": str(restarts)})
        wait_for(tmp_path / LAST, other_than=before)  # until it trains again
        if restarts < 2:
            assert end(process, REQUEUE, 0.3) == REQUEUED
            assert scontrol_calls(tmp_path) == ["requeue 77"] * (restarts + 1)
    process.join(60)
    assert process.exitcode == 0
    assert_same(whole / RUN, tmp_path / RUN)
    assert sorted(path.name for path in (tmp_path / RUN).parent.iterdir()) == ["version_0"]
    assert sorted(path.name for path in (tmp_path / RUN).rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]
    assert not (tmp_path / RUN / "slurm_job.json").exists()
    said = output(tmp_path)
    assert "SIGUSR1 after" in said
    assert "example: job 77 is requeued." in said
    assert "Traceback" not in said


@needs_posix_files
def test_a_named_pipe_in_place_of_a_jobs_note_is_not_waited_for(job, tmp_path):
    old = tmp_path / "runs/old/version_0"
    old.mkdir(parents=True)
    os.mkfifo(old / "slurm_job.json")
    assert run([*FIT, "--trainer.max_epochs=1"], tmp_path, environment=job | {"SLURM_RESTART_COUNT": "1"}) == 0


def test_a_sigterm_before_the_requeue_signal_does_not_end_the_run(job, tmp_path):
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    os.kill(process.pid, signal.SIGTERM)
    saved = written(tmp_path / LAST)
    process.join(1)
    assert process.exitcode is None
    assert written(tmp_path / LAST) > saved
    assert end(process, REQUEUE) == REQUEUED
    assert scontrol_calls(tmp_path) == ["requeue 77"]


def test_a_task_of_an_array_job_with_another_signal_is_requeued(job, tmp_path):
    environment = "lightning.fabric.plugins.environments.SLURMEnvironment"
    words = [*LONG, f"--trainer.plugins={environment}", "--trainer.plugins.requeue_signal=SIGHUP"]
    array = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    process = start(words, tmp_path, environment=job | array)
    wait_for(tmp_path / LAST)
    assert end(process, signal.SIGHUP) == 128 + signal.SIGHUP
    assert scontrol_calls(tmp_path) == ["requeue 12_3"]


def test_without_auto_requeue_sigterm_ends_the_run_and_the_job_is_not_requeued(job, tmp_path):
    environment = "lightning.fabric.plugins.environments.SLURMEnvironment"
    words = [*LONG, f"--trainer.plugins={environment}", "--trainer.plugins.auto_requeue=false"]
    process = start(words, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    assert end(process, signal.SIGTERM) == 143
    assert scontrol_calls(tmp_path) == []
    assert not (tmp_path / RUN / "slurm_job.json").exists()


def test_another_command_of_a_requeued_job_starts_a_new_run(job, tmp_path):
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    assert end(process, REQUEUE) == REQUEUED
    assert run(["fit"], tmp_path, environment=job | {"SLURM_RESTART_COUNT": "1"}) == 0
    assert (tmp_path / "runs/run/version_1/checkpoints/last.ckpt").exists()


def test_a_requeue_that_fails_is_reported_and_the_state_is_saved(job, tmp_path):
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\nexit 4\n")
    process = start(LONG, tmp_path, environment=job)
    wait_for(tmp_path / LAST)
    assert end(process, REQUEUE) == REQUEUED
    assert "example: job 77 is not requeued: scontrol ended with 4." in output(tmp_path)
    assert f"example fit --ckpt_path {LAST}" in output(tmp_path)


@pytest.mark.parametrize(("number", "requeues"), [(REQUEUE, 1), (signal.SIGTERM, 0)], ids=["requeue", "SIGTERM"])
def test_an_evaluation_ends_at_once_and_is_requeued_at_the_requeue_signal_alone(number, requeues, job, tmp_path):
    assert run(["fit"], tmp_path) == 0
    words = ["test", "--ckpt_path=last", "--data.num_test=8000000", "--trainer.enable_progress_bar=true"]
    process = start(words, tmp_path, environment=job)
    wait_for_words("Testing", tmp_path)
    assert end(process, number, 0.3) == 128 + number
    assert scontrol_calls(tmp_path) == ["requeue 77"] * requeues
    assert not list(tmp_path.rglob("hpc_ckpt*"))
