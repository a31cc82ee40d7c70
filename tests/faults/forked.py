"""batchlab in real processes that start in a moment: forked from one that has imported everything."""

import ctypes
import multiprocessing
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["batchlab.commands", "batchlab.compiled.engine"])


def obey_permissions():
    """Takes from root what lets it write where nobody may (Linux: `man 7 capabilities`)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        version_and_this_process = (ctypes.c_uint32 * 2)(0x20080522, 0)
        none_at_all = (ctypes.c_uint32 * 6)()
        assert libc.capset(version_and_this_process, none_at_all) == 0, os.strerror(ctypes.get_errno())


def _main(words, folder, every, limit, environment):
    from batchlab import last_checkpoint, loggers
    from batchlab.cli import main

    last_checkpoint.SECONDS_BETWEEN = loggers.SECONDS_BETWEEN = every
    os.environ |= environment
    os.chdir(folder)
    obey_permissions()
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout.reconfigure(line_buffering=True)
    if limit:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a full disk is an error, as on a real one
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["batchlab", *words]
    sys.exit(main())


def start(words, folder, every=0.05, limit=None, environment=None):
    """Starts a command in a folder.

    Args:
        words: The command's.
        folder: Where it runs; log.txt gets what it prints.
        every: Seconds from one checkpoint to the next.
        limit: Bytes that no file may grow beyond.
        environment: Variables that are set beside those of all.
    """
    Path(folder, "log.txt").touch()  # also for one that is ended before it does anything
    process = CONTEXT.Process(target=_main, args=(words, str(folder), every, limit, environment or {}))
    process.start()
    return process


def run(words, folder, **options):
    """Runs a command to its end; returns its exit status."""
    process = start(words, folder, **options)
    process.join(120)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def end(process, number, seconds):
    """Sends a signal after some seconds, unless the process has ended before; returns its exit status."""
    process.join(seconds)
    with suppress(ProcessLookupError):
        if process.exitcode is None:
            os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def written(path: Path):
    """When a file was written last; None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def wait_for(path: Path, seconds=60, other_than=None):
    """Waits until a file is there, or another one than was written then."""
    until = time.monotonic() + seconds
    while written(path) in (None, other_than):
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.01)
