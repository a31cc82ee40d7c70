import os
import pickle
import random
from pathlib import Path

import pytest
import torch
from compared import assert_equal

from batchlab.checkpoint import FORMAT, MARK, WholeCheckpointIO, read_checkpoint
from batchlab.errors import BadInputError
from batchlab.files import write_whole

LAST = Path("runs/minibatch/version_0/checkpoints/last.ckpt")


@pytest.fixture
def checkpoint(batchlab):
    """The last checkpoint of a run, and a place for a damaged one."""
    assert batchlab("fit", "--data.num_validation=50", "--data.batch_size=550") == 0
    return LAST


def refused(content, path, why):
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=why):
        read_checkpoint(path)


def test_a_checkpoint_cut_anywhere_is_refused(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    for size in [*range(0, len(whole), 4096), len(whole) - 1]:
        refused(whole[:size], tmp_path / "cut.ckpt", "cut short|damaged")


def test_a_checkpoint_with_a_flipped_bit_is_refused(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        refused(bytes(bits), tmp_path / "flipped.ckpt", "cut short|damaged")


def test_plain_lightning_reads_the_checkpoint_too(checkpoint):
    assert_equal(torch.load(checkpoint, weights_only=True), read_checkpoint(checkpoint))


class Malice:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("where", ["all of it", "a hyperparameter"])
@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(where, command, checkpoint, batchlab, capsys):
    content = Malice()
    if where == "a hyperparameter":
        content = read_checkpoint(checkpoint)
        content["hyper_parameters"]["hidden"] = Malice()
    WholeCheckpointIO().save_checkpoint(content, "evil.ckpt")
    assert batchlab(command, "--ckpt_path=evil.ckpt") == 2
    assert "may run code" in capsys.readouterr().err
    assert not Path("harm").exists()


def test_a_bare_pickle_is_refused_and_does_not_run(batchlab, capsys):
    Path("evil.ckpt").write_bytes(pickle.dumps(Malice()))
    assert batchlab("test", "--ckpt_path=evil.ckpt") == 2
    assert "another program's" in capsys.readouterr().err
    assert not Path("harm").exists()


def test_a_checkpoint_of_a_newer_version_is_refused_by_its_version(checkpoint, batchlab, capsys):
    content = read_checkpoint(checkpoint)
    content["batchlab"] |= {"format": FORMAT + 1, "versions": {"batchlab": "99.0"}}
    WholeCheckpointIO().save_checkpoint(content, "newer.ckpt")
    assert batchlab("test", "--ckpt_path=newer.ckpt") == 2
    assert "batchlab 99.0, which is newer" in capsys.readouterr().err


def test_a_checkpoint_says_where_it_comes_from(checkpoint):
    origin = read_checkpoint(checkpoint)["batchlab"]
    assert origin["versions"]["torch"] == str(torch.__version__)
    assert len(origin["data_sha256"]) == 64
    assert "batch_size: 550" in origin["config"]


def test_going_on_with_other_data_warns(checkpoint, batchlab):
    words = ["--allow_changes=true", "--trainer.max_epochs=2", "--data.num_validation=50", "--data.seed=1"]
    with pytest.warns(UserWarning, match="not those of the checkpoint"):
        assert batchlab("fit", f"--ckpt_path={checkpoint}", *words) == 0


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_mark_stands_once_in_a_checkpoint(checkpoint):
    assert checkpoint.read_bytes().count(MARK) == 1
