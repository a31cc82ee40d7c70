import sys
from pathlib import Path

import pytest
from forked import run

from batchlab.checkpoint import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")]
RUN = Path("runs/minibatch/version_0")


def test_a_full_disk_ends_the_run_with_a_message_and_keeps_what_was_saved(tmp_path):
    # The table grows by a line an epoch, and reaches the limit long after the first checkpoints.
    words = ["fit", "--trainer.max_epochs=3000", "--data.batch_size=1100", "--data.num_validation=20"]
    assert run(words, tmp_path, limit=120_000) == 1
    said = (tmp_path / "log.txt").read_text()
    assert "batchlab: error: the run in runs/minibatch/version_0 cannot be written" in said
    assert "Traceback" not in said
    assert read_checkpoint(tmp_path / RUN / "checkpoints" / "last.ckpt")["global_step"] > 1


def test_a_disk_without_room_for_a_checkpoint_leaves_no_part_of_one(tmp_path):
    assert run(["fit", "--data.num_validation=20"], tmp_path, limit=50_000) == 1
    assert "cannot be written" in (tmp_path / "log.txt").read_text()
    assert list((tmp_path / RUN / "checkpoints").glob("*")) == []
