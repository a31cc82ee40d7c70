import os
import pickle
import random
import sys
from pathlib import Path

import pytest
import torch
from compared import assert_equal

from batchlab.checkpoint import FORMAT, MARK, WholeCheckpointIO, read_checkpoint
from batchlab.data import ToyDataModule
from batchlab.errors import BadInputError
from batchlab.files import write_whole
from batchlab.model import BinaryClassifier

LAST = Path("runs/minibatch/version_0/checkpoints/last.ckpt")


@pytest.fixture
def checkpoint(batchlab):
    """The last checkpoint of a run, and a place for a damaged one."""
    assert batchlab("fit", "--data.num_validation=50", "--data.batch_size=550") == 0
    return LAST


def refused(content, path, why, load):
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=why):
        load(path)


READERS = [read_checkpoint, BinaryClassifier.load_from_checkpoint, ToyDataModule.load_from_checkpoint]


@pytest.mark.parametrize("load", READERS, ids=lambda load: load.__qualname__)
def test_a_checkpoint_cut_anywhere_is_refused(load, checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    for size in [*range(0, len(whole), 4096), len(whole) - 1]:
        refused(whole[:size], tmp_path / "cut.ckpt", "cut short|damaged", load)


@pytest.mark.parametrize("load", READERS, ids=lambda load: load.__qualname__)
def test_a_checkpoint_with_a_flipped_bit_is_refused(load, checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        refused(bytes(bits), tmp_path / "flipped.ckpt", "cut short|damaged", load)


@pytest.mark.parametrize("load", READERS, ids=lambda load: load.__qualname__)
def test_a_foreign_checkpoint_is_refused(load, tmp_path):
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(BadInputError, match="another program's"):
        load(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize("words", [{}, {"weights_only": True}, {"map_location": "cpu"}, {"strict": True}], ids=str)
def test_a_checkpoint_alone_rebuilds_the_model(words, checkpoint):
    model = BinaryClassifier.load_from_checkpoint(checkpoint, **words)
    assert_equal(dict(model.state_dict()), dict(read_checkpoint(checkpoint)["state_dict"]))
    assert dict(model.hparams) == read_checkpoint(checkpoint)["hyper_parameters"]


def test_what_python_says_goes_before_the_checkpoints_hyperparameters(checkpoint):
    model = BinaryClassifier.load_from_checkpoint(checkpoint, "cpu", optimizer=torch.optim.Adam)
    assert model.hparams["optimizer"]["class_path"] == "torch.optim.adam.Adam"


def test_a_checkpoint_rebuilds_the_data_module(checkpoint):
    assert ToyDataModule.load_from_checkpoint(checkpoint).num_validation == 50


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


SHELL = {"class_path": "os.system", "init_args": {"command": "mkdir harm"}}
HIDDEN = {
    "a function for an optimizer": ("hyper_parameters", {"optimizer": SHELL}),
    "a function for a scheduler": ("hyper_parameters", {"lr_scheduler": SHELL}),
    "a class of another kind": (
        "hyper_parameters",
        {"optimizer": {"class_path": "subprocess.Popen", "init_args": {"args": ["mkdir", "harm"]}}},
    ),
    "a module": ("hyper_parameters", {"optimizer": {"class_path": "evil.Optimizer", "init_args": {}}}),
    "a module by its name alone": ("hyper_parameters", {"optimizer": "evil.Optimizer"}),
    "a function within a scheduler": (
        "hyper_parameters",
        {"lr_scheduler": {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": "evil.f"}}},
    ),
    "a class within an optimizer": (
        "hyper_parameters",
        {"optimizer": {"class_path": "torch.optim.sgd.SGD", "init_args": {"lr": SHELL}}},
    ),
    "more than a class": (
        "hyper_parameters",
        {"optimizer": {"class_path": "torch.optim.sgd.SGD", "init_args": {}, "dict_kwargs": {"lr": SHELL}}},
    ),
    "a number": ("hyper_parameters", {"hidden": SHELL}),
    "a list": ("hyper_parameters", {"hidden": [SHELL]}),
    "a key of the data": ("datamodule_hyper_parameters", {"batch_size": SHELL}),
    "keys that are none": ("hyper_parameters", {1: 2}),
}


def manipulated(checkpoint, where, settings):
    """A checkpoint with other hyperparameters, and a right checksum; beside it a module that does harm."""
    Path("evil.py").write_text("import os\nos.mkdir('harm')\n")
    content = read_checkpoint(checkpoint)
    content[where] |= settings
    WholeCheckpointIO().save_checkpoint(content, "evil.ckpt")
    return Path("evil.ckpt")


@pytest.mark.parametrize(("where", "settings"), HIDDEN.values(), ids=HIDDEN)
def test_what_a_hyperparameter_hides_is_refused_and_neither_run_nor_imported(
    where, settings, checkpoint, batchlab, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(".")
    path = manipulated(checkpoint, where, settings)
    before = sorted(Path().rglob("*"))
    for command in ("fit", "validate", "test", "predict"):
        assert batchlab(command, f"--ckpt_path={path}") == 2
        assert "holds hyperparameters that are not data alone" in capsys.readouterr().err
    for load in READERS:
        with pytest.raises(BadInputError, match="not data alone"):
            load(path)
    assert sorted(Path().rglob("*")) == before
    assert "evil" not in sys.modules


@pytest.mark.parametrize("where", ["hyper_parameters", "datamodule_hyper_parameters"])
@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
def test_how_to_build_a_class_is_not_asked_of_a_checkpoint(where, key, checkpoint, batchlab, monkeypatch):
    monkeypatch.syspath_prepend(".")
    path = manipulated(checkpoint, where, {key: "evil.f"})
    assert batchlab("test", f"--ckpt_path={path}", "--data.num_test=50") == 0
    for load in READERS:
        load(path)
    assert "evil" not in sys.modules


@pytest.mark.parametrize(("settings", "why"), [({"hidden": "os.system"}, "model.hidden"), ({"width": 1}, "width")])
def test_a_checkpoint_with_other_hyperparameters_is_refused_in_words(settings, why, checkpoint, batchlab, capsys):
    path = manipulated(checkpoint, "hyper_parameters", settings)
    assert batchlab("test", f"--ckpt_path={path}", "--data.num_test=50") == 2
    assert why in capsys.readouterr().err


def test_an_optimizer_of_ones_own_goes_on_and_is_built_from_a_checkpoint_once_it_is_imported(
    batchlab, monkeypatch, tmp_path, capsys
):
    monkeypatch.syspath_prepend(tmp_path)
    Path("my_own.py").write_text("import torch\n\nclass Slow(torch.optim.SGD): ...\n")
    words = ["--data.num_validation=50", "--data.batch_size=550"]
    assert batchlab("fit", *words, "--model.optimizer=my_own.Slow", "--model.optimizer.lr=0.1") == 0
    monkeypatch.delitem(sys.modules, "my_own")
    assert batchlab("test", f"--ckpt_path={LAST}", "--data.num_test=50") == 2
    assert "of a module that is imported already. Got 'my_own.Slow'" in capsys.readouterr().err
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert batchlab("test", f"--ckpt_path={LAST}", "--data.num_test=50") == 0
    assert BinaryClassifier.load_from_checkpoint(LAST).hparams["optimizer"]["class_path"] == "my_own.Slow"


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
