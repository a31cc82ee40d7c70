import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from systems import needs_signals

pytestmark = [pytest.mark.slow, needs_signals]


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_all_of_a_comparison(name, status):
    config, log = Path("runs/batch/version_0/config.yaml"), Path("log.txt")
    # The first run validates a million events before its first step.
    command = [sys.executable, "-m", "batchlab", "compare", "--data.num_validation=1000000"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    until = time.monotonic() + 60
    while not config.exists():
        assert time.monotonic() < until, "no run has started"
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    assert process.wait(10) == status
    assert name in log.read_text().splitlines()[-1]
    assert "Traceback" not in log.read_text()
    assert not Path("runs/online").exists()
