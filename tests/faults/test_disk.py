import sys
from pathlib import Path

import pytest
from forked import run, start, wait_for

from batchlab.checkpoint import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")]
RUN = Path("runs/minibatch/version_0")


def test_a_full_disk_ends_the_run_with_a_message_and_keeps_what_was_saved(tmp_path):
    # The table grows by a line an epoch, and reaches the limit long after the first checkpoints.
    words = ["fit", "--trainer.max_epochs=3000", "--data.batch_size=1100", "--data.num_validation=20"]
    assert run(words, tmp_path, limit=400_000) == 1
    said = (tmp_path / "log.txt").read_text()
    assert "batchlab: error: a file in runs/minibatch/version_0 cannot be written" in said
    assert "Traceback" not in said
    assert read_checkpoint(tmp_path / RUN / "checkpoints" / "last.ckpt")["global_step"] > 1


def test_a_disk_without_room_for_a_checkpoint_leaves_no_part_of_one(tmp_path):
    assert run(["fit", "--data.num_validation=20"], tmp_path, limit=50_000) == 1
    assert "cannot be written" in (tmp_path / "log.txt").read_text()
    assert list((tmp_path / RUN / "checkpoints").glob("*")) == []


@pytest.mark.parametrize("which", ["checkpoints", "."])
def test_a_folder_that_turns_read_only_ends_the_run_with_a_message_and_keeps_what_was_saved(which, tmp_path):
    process = start(["fit", "--trainer.max_epochs=100000", "--data.num_validation=20"], tmp_path)
    last = tmp_path / RUN / "checkpoints" / "last.ckpt"
    wait_for(last)
    folder = tmp_path / RUN / which
    folder.chmod(0o555)
    if which == ".":
        (folder / "checkpoints").chmod(0o555)
    process.join(60)
    assert process.exitcode == 1
    said = (tmp_path / "log.txt").read_text()
    assert "cannot be written or read: [Errno 13] Permission denied" in said
    assert "Traceback" not in said
    assert read_checkpoint(last)["global_step"] > 0


def test_a_read_only_runs_folder_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o555)
    assert run(["fit"], tmp_path) == 2
    assert "trainer.default_root_dir must be a folder that can be written to" in (tmp_path / "log.txt").read_text()


def test_predictions_that_cannot_be_written_leave_the_old_ones(tmp_path):
    assert run(["fit", "--data.num_validation=20"], tmp_path) == 0
    output = tmp_path / "out" / "table.csv"
    output.parent.mkdir()
    output.write_text("old")
    output.parent.chmod(0o555)
    assert run(["predict", "--ckpt_path=last", "--output=out/table.csv"], tmp_path) == 1
    assert output.read_text() == "old"
