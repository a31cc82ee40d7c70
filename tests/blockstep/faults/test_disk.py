import pytest
from compared import table
from engines import if_compiled
from forked import output, run, start, wait_for
from systems import needs_fork

from blockstep.checkpoints.checkpoint_file import read_checkpoint

pytestmark = [pytest.mark.slow, needs_fork]
FIT = ["fit", "--data.num_validation=20", "--data.num_training=100"]


@pytest.fixture
def folder(tmp_path):
    """The folder of the run, which may not exist yet."""
    return tmp_path / "runs" / "run" / "version_0"


def test_a_full_disk_ends_the_run_with_a_message_and_keeps_what_was_saved(folder, tmp_path):
    # The table and the event file grow with every epoch, and reach the limit long after the first checkpoint.
    assert run([*FIT, "--trainer.max_epochs=100000"], tmp_path, limit=60_000) == 1
    assert "example: error: a file in runs/run/version_0 cannot be written" in output(tmp_path)
    assert "Traceback" not in output(tmp_path)
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] > 10


def test_a_disk_without_room_for_a_checkpoint_is_left_without_a_part_of_one(folder, tmp_path):
    # The graph makes the event file as large as a checkpoint; without loggers, checkpoints are the largest files.
    assert run([*FIT, "--trainer.logger=false"], tmp_path, limit=10_000) == 1
    assert "cannot be written" in output(tmp_path)
    assert list((folder / "checkpoints").glob("*")) == []


@pytest.mark.parametrize("engine", [pytest.param("compiled", marks=if_compiled)])
def test_a_cache_without_room_for_a_program_leaves_the_run_to_the_eager_engine(engine, tmp_path):
    cache = {"BLOCKSTEP_CACHE": str(tmp_path / "cache")}
    words = [*FIT, "--trainer.enable_checkpointing=false"]  # so that the program is the largest file
    status = run([*words, f"--model.engine={engine}"], tmp_path, limit=15_000, environment=cache)
    assert status == 0, output(tmp_path)
    assert "engine: eager, not compiled: the C++ compiler" in output(tmp_path)
    assert list((tmp_path / "cache").rglob("*.so")) == []
    assert run([*words, "--name=eager"], tmp_path) == 0
    assert table(tmp_path / "runs/run/version_0") == table(tmp_path / "runs/eager/version_0")


@pytest.mark.parametrize("which", ["checkpoints", "."])
def test_a_folder_that_turns_read_only_ends_the_run_with_a_message_and_keeps_what_was_saved(which, folder, tmp_path):
    process = start([*FIT, "--trainer.max_epochs=100000"], tmp_path)
    last = folder / "checkpoints" / "last.ckpt"
    wait_for(last)
    (folder / which).chmod(0o555)
    if which == ".":
        (folder / "checkpoints").chmod(0o555)
    process.join(60)
    assert process.exitcode == 1
    assert "cannot be written or read: [Errno 13] Permission denied" in output(tmp_path)
    assert "Traceback" not in output(tmp_path)
    assert read_checkpoint(last)["global_step"] > 0


def test_a_read_only_runs_folder_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "runs").mkdir(mode=0o555)
    assert run(["fit"], tmp_path) == 2
    assert "trainer.default_root_dir must be a folder that can be written to" in output(tmp_path)


def test_predictions_that_cannot_be_written_leave_the_old_ones(tmp_path):
    assert run(FIT, tmp_path) == 0
    predictions = tmp_path / "out" / "table.csv"
    predictions.parent.mkdir()
    predictions.write_text("old")
    predictions.parent.chmod(0o555)
    assert run(["predict", "--ckpt_path=last", "--output=out/table.csv"], tmp_path) == 1
    assert predictions.read_text() == "old"
