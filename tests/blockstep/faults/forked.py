"""The example in real processes that start quickly: they are forked from one that has imported everything."""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name

from systems import WINDOWS

if not WINDOWS:
    import resource

    CONTEXT = multiprocessing.get_context("forkserver")
    CONTEXT.set_forkserver_preload(["blockstep.cli.commands", "blockstep.compiled.engine", "example.model"])


def obey_permissions():
    """Give up the privilege of root to write where nobody may (Linux: `man 7 capabilities`)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        version_and_this_process = (ctypes.c_uint32 * 2)(0x20080522, 0)
        no_capabilities = (ctypes.c_uint32 * 6)()
        assert libc.capset(version_and_this_process, no_capabilities) == 0, os.strerror(ctypes.get_errno())


def _main(words, folder, every, limit, environment, main, seconds):
    from blockstep.base import timed_logger

    timed_logger.SECONDS_BETWEEN_WRITES = every
    os.environ |= environment
    os.chdir(folder)
    obey_permissions()
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(log)
    sys.stdout.reconfigure(line_buffering=True)
    if seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write beyond the limit is an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(resolve_name(main)(words))


def start(words, folder, every=0.05, limit=None, environment=None, main="example.cli.main", seconds=None):
    """Start a command in a folder.

    Args:
        words: The command's arguments.
        folder: Where it runs; log.txt gets its output.
        every: Seconds from one checkpoint to the next.
        limit: The most bytes that a file may have.
        environment: Variables that are set in addition to those of the tests.
        main: The import path of the function that gets the words and returns the exit status.
        seconds: The most time of the processor, at which the process is killed.
    """
    Path(folder, "log.txt").touch()  # so that it exists even if the process is ended at once
    process = CONTEXT.Process(target=_main, args=(words, str(folder), every, limit, environment or {}, main, seconds))
    process.folder = folder
    process.start()
    return process


def run(words, folder, **options):
    """Run a command to its end; return its exit status."""
    process = start(words, folder, **options)
    return _exit_status(process, seconds=120)


def end(process, number, seconds=0.0):
    """Send a signal after some seconds, unless the process has ended before; return its exit status."""
    process.join(seconds)
    if process.exitcode is None:
        _send(process, number)
    return _exit_status(process, seconds=60)


def _exit_status(process, seconds):
    process.join(seconds)
    if process.exitcode is None:
        _send(process, signal.SIGABRT)  # it prints where all of its threads are
        process.join()
        raise AssertionError(f"the process hangs:\n{output(Path(process.folder))}")
    return process.exitcode


def _send(process, number):
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def output(folder):
    """What the commands in a folder have printed so far."""
    return (folder / "log.txt").read_text()


def written(path):
    """The time at which a file was last written; None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def wait_until(condition, what, seconds=60):
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} does not happen"
        time.sleep(0.001)


def wait_for(path, other_than=None):
    """Wait until a file exists, and was last written at another time than the given one."""
    wait_until(lambda: written(path) not in (None, other_than), f"the writing of {path}")


def wait_for_words(words, folder):
    """Wait until a command in the folder has printed the words."""
    wait_until(lambda: words in output(folder), f"the printing of {words!r}")
