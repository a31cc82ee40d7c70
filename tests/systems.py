"""What a test needs of the operating system.

With SIMULATE_WINDOWS=1, the tests run as on Windows: what is missing there is hidden (see conftest.py), and the tests
that need it are skipped.
"""

import os

import pytest

WINDOWS = os.name == "nt" or "SIMULATE_WINDOWS" in os.environ


def needs(what: str) -> pytest.MarkDecorator:
    """Skip a test on Windows, which lacks this."""
    return pytest.mark.skipif(WINDOWS, reason=f"Windows has no {what}")


needs_compiler = needs("C++ compiler that programs are built with")
needs_signals = needs("signals that a process can be sent: it would be killed")
needs_fork = needs("fork")
needs_posix_files = needs("devices, named pipes and permissions like those of POSIX")
needs_terminal = needs("terminal that a test can look at")
needs_bash = needs("bash")
