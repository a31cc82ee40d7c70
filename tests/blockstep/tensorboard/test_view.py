import json
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from processes import address_in, server_in, start_view, views_of
from systems import needs_bash, needs_signals

from blockstep.tensorboard.charts import PLAIN, Charts
from blockstep.tensorboard.event_files import EventsSeen, RunEvents
from blockstep.tensorboard.view import first_view


@pytest.fixture
def served():
    """Starts the example's view; at the end, stops what was started."""
    with views_of("example") as serve:
        yield serve


@pytest.fixture
def runs():
    """A folder of runs."""
    folder = Path("runs")
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_it_serves_this_machine_alone_and_says_so(served, runs):
    _, line = served()
    assert "only from this machine" in line
    assert "127.0.0.1" in address_in(line)
    assert urllib.request.urlopen(address_in(line)).status == 200  # noqa: S310 - it is the one printed


def test_the_address_pins_curves_and_smooths_none():
    charts = Charts(pinned=["val/loss", "own & other"])
    address = urlsplit(first_view("http://127.0.0.1:6006/", charts))
    query = parse_qs(address.query)
    assert [card["tag"] for card in json.loads(query["pinnedCards"][0])] == ["val/loss", "own & other"]
    assert query["smoothing"] == ["0"]
    assert address.fragment.split("&") == ["timeseries", "_smoothingWeight=0"]


@pytest.mark.slow
def test_without_a_browser_the_address_has_the_pins_too(served, runs):
    _, line = served()
    assert address_in(line) == first_view(server_in(line), PLAIN)


@pytest.mark.slow
def test_a_second_view_takes_another_port(served, runs):
    first, second = (address_in(served()[1]) for _ in range(2))
    assert first != second


@pytest.mark.slow
def test_a_port_that_another_program_has_but_does_not_answer_is_passed_over(served, runs):
    with socket.socket() as taken:
        for port in range(6006, 6106):
            with suppress(OSError):
                taken.bind(("127.0.0.1", port))
                break
        assert f":{port}/" not in address_in(served()[1])


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(number, served, runs):
    process, _ = served()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert rest == ""


@pytest.mark.slow
def test_a_port_that_was_asked_for_and_is_taken_is_refused(served, runs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process, line = served(f"--port={port}")
        assert process.wait(20) == 2
    assert line.startswith("example: error: ")
    assert str(port) in line


def test_a_folder_that_is_not_there_is_refused(example, capsys):
    assert example("view", "nowhere") == 2
    assert "runs must be a folder that exists. Got 'nowhere'" in capsys.readouterr().err


def test_a_folder_without_a_name_is_refused(example, capsys):
    assert example("view", "") == 2
    assert capsys.readouterr().err == "example: error: argument runs: must not be empty.\n"


WRONG = {
    "--prot=1": "Got '--prot=1' instead. Did you mean --port?",
    "--por=6006": "Got '--por=6006'",
    "runs other": "Got 'other'",
    "--port": "expected one argument",
    "--port=x": "'x'",
    "--port=-5": "must be a number from 0 to 65535. Got '-5'",
    "--port=65536": "65536",
    "--host=192.0.2.1": "--host must be",
    "--host=no.such.host.invalid": "--host must be",
    "--host=": "must not be empty",
    "--browser=yes": "ignored explicit argument 'yes'",
    "--logdir=runs": "Got '--logdir=runs'",
}


@pytest.mark.slow
@pytest.mark.parametrize(("words", "why"), WRONG.items(), ids=WRONG)
def test_an_option_that_is_wrong_is_refused_in_one_line(words, why, runs):
    # A process of its own: TensorBoard may have started its threads before it finds that an option is wrong.
    process, line = start_view("example", *words.split())
    assert process.communicate(timeout=30) == ("", None)
    assert process.returncode == 2
    assert line.startswith("example: error: ")
    assert why in line


@pytest.mark.slow
def test_it_says_when_other_machines_can_reach_it(served, runs):
    assert "from other machines too" in served("--host", "0.0.0.0")[1]  # noqa: S104 - as tested


@pytest.mark.slow
def test_all_frames_of_a_picture_are_served(served):
    seen = EventsSeen()
    logger = RunEvents(Path("runs/run/version_0"), seen)
    for seen.events in range(20):
        logger.log_picture("own", np.zeros((4, 6, 3), np.uint8))
    logger.finalize("success")
    address = f"{server_in(served()[1])}data/plugin/images/images?run=run/version_0&tag=own&sample=0"
    until, frames = time.monotonic() + 20, []
    while not frames and time.monotonic() < until:  # until it has read the file
        time.sleep(0.1)
        with suppress(urllib.error.HTTPError):
            frames = json.load(urllib.request.urlopen(address))  # noqa: S310 - it is the one printed
    assert len(frames) == 20


@pytest.mark.slow
@needs_bash
def test_the_browser_that_is_set_opens_the_address_that_is_printed(served, runs, tmp_path, monkeypatch):
    script, opened = tmp_path / "browser", tmp_path / "opened"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part; mv {opened}.part {opened}\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))
    process, line = served("--browser")
    until = time.monotonic() + 20
    while not opened.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert opened.read_text() == address_in(line) == first_view(server_in(line), PLAIN)
    process.terminate()
    assert process.wait(20) == 0
