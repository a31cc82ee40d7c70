"""Processes of an application, started and looked at."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

HEAVY = {"jsonargparse", "lightning", "matplotlib", "numpy", "scipy", "tensorboard", "torch", "torchmetrics", "yaml"}

# What a fit of the default config does not use and may be installed. Lightning and torchmetrics import more than is
# used here (torch._dynamo, matplotlib.pyplot, scipy where it is installed), which this project cannot change.
UNUSED_IN_FIT = {"jax", "pandas", "sklearn", "tensorboard.program"}


def modules_after(*words):
    """The modules that a process had imported at its end."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def run_process(application, *words, **environment):
    """Runs a command in a process of its own, to its end."""
    command = [sys.executable, "-m", application, *words]
    environment = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def start_view(application, *words):
    """Starts an application's view without a browser; returns the process and the first line that it prints."""
    command = [sys.executable, "-m", application, "view", "--no-browser", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return process, process.stdout.readline()


@contextmanager
def views_of(application):
    """Yields a function that starts views; at the end, stops them."""
    processes = []

    def serve(*words):
        process, line = start_view(application, *words)
        processes.append(process)
        return process, line

    yield serve
    for process in processes:
        process.kill()
        process.communicate()


def address_in(line):
    """The address that a line names."""
    return re.search(r"http://\S+", line)[0]


def server_in(line):
    """The same without the page's settings."""
    return address_in(line).partition("?")[0]
