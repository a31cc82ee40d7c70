import os
import signal
from pathlib import Path

import pytest
from forked import end, start, wait_for

pytestmark = pytest.mark.slow
LAST = Path("runs/online/version_0/checkpoints/last.ckpt")
LONG = ["fit", "--name=online", "--data.batch_size=1", "--trainer.max_epochs=1000", "--data.num_validation=50"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_state_saved_and_says_how_to_go_on(number, status, tmp_path):
    process = start(LONG, tmp_path, every=0.05)
    wait_for(tmp_path / LAST)
    assert end(process, number, 0.3) == status
    said = (tmp_path / "log.txt").read_text()
    assert f"{number.name} after" in said
    assert f"batchlab fit --ckpt_path {LAST}" in said
    assert "Traceback" not in said


def test_a_second_signal_ends_it_at_once(tmp_path):
    slow = [*LONG[:3], "--data.batch_size=1000000", "--data.num_background=1000000", "--trainer.max_epochs=50"]
    process = start(slow, tmp_path, every=0.05)
    wait_for(tmp_path / "runs/online/version_0/config.yaml")
    process.join(3)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    process.join(30)
    assert process.exitcode in (-signal.SIGTERM, 143)
