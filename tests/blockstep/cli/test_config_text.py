import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from started import QUICK, saved_config, start
from systems import needs_posix_files

DEEP = "[" * 40_000
REFUSED = {
    "levels of brackets": ("data: " + "[" * 100_000 + "]" * 100_000, "at most 50 levels"),
    "levels by indentation": ("".join(" " * level + "a:\n" for level in range(1000)), "at most 50 levels"),
    "levels of mappings": ("{a: " * 51 + "1" + "}" * 51, "at most 50 levels"),
    "a million characters": (f"name: {'x' * 1_000_000}", "at most 1,000,000 characters. Got 1,000,006"),
    "a key twice": (
        "data:\n  batch_size: 5\n  seed: 1\n  batch_size: 7\n",
        "each key once. Got 'data.batch_size' in line 2 and in line 4",
    ),
    "a key twice, once with dots": ("data.seed: 1\ndata:\n  seed: 2\n", "Got 'data.seed' in line 1 and in line 3"),
    "a key by an alias": ("data: {&k seed: 1, *k : 2}\n", "have its keys written out. Got an alias in line 1"),
    "a merge": (
        "a: &a {x: 1}\ndata: {<<: [*a, *a], seed: 1}\n",
        "have its keys written out. Got a merge (<<) in line 2",
    ),
    "a section twice": ("data: {seed: 1}\nmodel: {}\ndata: {seed: 2}\n", "Got 'data' in line 1 and in line 3"),
    "a number to the base of 60": ("data: {batch_size: 1:30}", "Got '1:30' instead"),
    "a fraction to the base of 60": ("trainer: {gradient_clip_val: 1:30.5}", "1:30.5"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_is_deep_or_can_be_misread_is_refused(text, why, example, capsys):
    Path("config.yaml").write_text(text)
    assert example("fit", "--config=config.yaml") == 2
    assert why in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("key", ["config", "data.seed", "data", "model", "trainer.callbacks", "name", "ckpt_path"])
def test_an_argument_of_forty_thousand_brackets_is_one_message(key):
    done = start("fit", f"--{key}={DEEP}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("example: error: ")
    assert len(done.stderr) < 1500


def test_numbers_and_times_of_a_config_are_read_as_they_are_written(example):
    Path("config.yaml").write_text("trainer: {max_time: 00:00:01:00}\ndata: {num_validation: 0060, seed: 1_000}\n")
    assert example("fit", "--config=config.yaml") == 0
    saved = saved_config()
    assert (saved["trainer"]["max_time"], saved["data"]["num_validation"], saved["data"]["seed"]) == (
        "00:00:01:00",
        60,
        1000,
    )


def test_a_name_may_look_like_a_time_to_yaml(example, capsys):
    assert example("fit", *QUICK, "--name=2024_12") == 0
    assert saved_config(Path("runs/2024_12/version_0"))["name"] == "2024_12"


@needs_posix_files
@pytest.mark.parametrize(
    "words", [["--config=pipe"], ["-c", "pipe"], ["--trainer", "pipe"], ["--model.optimizer=pipe"]]
)
def test_a_named_pipe_is_refused_as_a_config_and_not_waited_for(words):
    os.mkfifo("pipe")
    done = start("fit", *words)
    assert (done.returncode, done.stderr) == (
        2,
        "example: error: a config must be a file, not a named pipe. Got 'pipe' instead.\n",
    )


WITHIN = {
    "a group": "trainer: pipe",
    "a class": "model: {optimizer: pipe}",
    "a list": "trainer: {callbacks: [pipe]}",
    "a config of its own": "config: pipe",
    "a group's own config": "trainer: inner.yaml",
}


@needs_posix_files
@pytest.mark.parametrize("folder", [".", "configs"])
@pytest.mark.parametrize("text", WITHIN.values(), ids=WITHIN)
def test_a_named_pipe_within_a_config_is_refused_and_not_waited_for(text, folder):
    Path(folder).mkdir(exist_ok=True)
    os.mkfifo(f"{folder}/pipe")  # a config's own paths start in its folder
    Path(folder, "inner.yaml").write_text("callbacks: pipe\n")
    Path(folder, "outer.yaml").write_text(text)
    done = start("fit", f"--config={folder}/outer.yaml")
    assert (done.returncode, done.stderr) == (
        2,
        "example: error: a config must be a file, not a named pipe. Got 'pipe' instead.\n",
    )


@pytest.fixture
def server():
    """A server on this machine, and the requests that it was sent."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"data: {num_validation: 20}\n")

        def log_message(self, *args):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/c.yaml", requests
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize("where", ["--config={}", "--trainer={}", "--model.optimizer={}", "--config=inner.yaml"])
def test_no_address_is_read_as_a_config(where, server, example, capsys):
    address, requests = server
    Path("inner.yaml").write_text(f"trainer: {address}\n")
    assert example("fit", where.format(address)) == 2
    assert requests == []
    assert not Path("runs").exists()


def test_no_file_system_in_memory_is_read_as_a_config():
    code = (
        "import fsspec\nfrom example.cli import main\n"
        "fsspec.filesystem('memory').pipe('/c.yaml', b'data: {num_validation: 20}')\n"
        "raise SystemExit(main(['fit', '--config=memory://c.yaml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
