import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from processes import run_process
from small_studies import FOLDER, WORDS, rows, trainings

pytestmark = pytest.mark.slow

STUDY = (*WORDS, "--targets=.1", "--budget=4", "--seeds=4")
"""Sixteen trainings that end with their budget."""


@contextmanager
def started(*words):
    """A study in a process group of its own, which is ended with all of its processes."""
    command = [sys.executable, "-m", "example", "study", *STUDY, *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process
    if process.poll() is None or words:
        with_group(process, signal.SIGKILL)
    process.communicate()


def with_group(process, number):
    """Send a signal to a process and to those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def wait_for(count, process, seconds=90):
    """Wait until so many trainings are finished."""
    end = time.monotonic() + seconds
    while len(trainings()) < count:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def whole(example, tmp_path, monkeypatch):
    """The table of the study, trained by one process in a folder of its own."""
    (tmp_path / "whole").mkdir()
    with monkeypatch.context() as place:
        place.chdir(tmp_path / "whole")
        assert example("study", *STUDY) == 0
        return rows()


def test_two_jobs_make_the_same_table(whole):
    done = run_process("example", "study", *STUDY, "--jobs=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert rows() == whole
    assert ",no," in (FOLDER / "study.csv").read_text().splitlines()[1]  # timed_alone


@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=2"])
def test_a_study_that_was_killed_goes_on_with_the_same_words(jobs, whole, example):
    with started(jobs) as process:
        wait_for(5, process)
        with_group(process, signal.SIGKILL)
        process.wait()
    before = trainings()
    assert 5 <= len(before) < 16
    assert example("study", *STUDY) == 0
    assert before.items() <= trainings().items()  # none was trained twice
    assert rows() == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["--jobs=1", "--jobs=2"])
def test_a_signal_leaves_what_is_finished(number, jobs, example):
    with started(jobs) as process:
        wait_for(3, process)
        if number == signal.SIGINT:  # as a terminal does
            with_group(process, number)
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    finished = len(trainings())
    (count,) = re.findall(r"after (\d+) of 16 trainings, which are kept", err)
    assert finished == int(count)
    assert "Traceback" not in err
    assert example("study", "--report") == 0
    assert len({row["run"] for row in rows()}) == finished
    assert (FOLDER / "report.html").is_file()


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two workers: its address, and the processes of the workers."""
    pytest.importorskip("distributed")
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    address = f"tcp://127.0.0.1:{40000 + os.getpid() % 10000}"
    port = address.rpartition(":")[2]
    dask = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host=127.0.0.1",
        f"--port={port}",
        "--no-dashboard",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads=1",
        "--no-dashboard",
        "--no-nanny",
    ]
    processes = [subprocess.Popen(command, **options) for command in (dask, worker, worker)]
    yield address, processes[1:]
    for process in processes:
        process.kill()
        process.wait()


def test_a_cluster_makes_the_same_table_when_a_worker_is_killed(cluster, whole):
    address, workers = cluster
    wait_for_workers(address, 2)
    with started(f"--scheduler={address}") as process:
        wait_for(3, process)
        workers[0].kill()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert "16 of 16 trainings" in out
    assert rows() == whole


def wait_for_workers(address, count):
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)
