import hashlib
import io
import os
import pickle
import random
import socket
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from compared import assert_equal
from example.data import Points
from example.model import Classifier

from blockstep.base.errors import BadInputError
from blockstep.checkpoints.checkpoint_file import BEST, FORMAT, KEY, MARK, ChecksummedCheckpointIO, read_checkpoint

LAST = Path("runs/run/version_0/checkpoints/last.ckpt")
QUICK = ("--data.num_validation=50", "--data.batch_size=550")


@pytest.fixture
def checkpoint(example):
    """The last checkpoint of a run."""
    assert example("fit", *QUICK) == 0
    return LAST


READERS = [read_checkpoint, Classifier.load_from_checkpoint, Points.load_from_checkpoint]
each_reader = pytest.mark.parametrize("load", READERS, ids=lambda load: load.__qualname__)


def assert_refused(content, path, why, load):
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=why):
        load(path)


@each_reader
def test_a_checkpoint_that_is_cut_short_is_refused(load, checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    for size in [*range(0, len(whole), 4096), len(whole) - 1]:
        assert_refused(whole[:size], tmp_path / "cut.ckpt", "cut short|damaged", load)


@each_reader
def test_a_checkpoint_with_a_flipped_bit_is_refused(load, checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        assert_refused(bytes(bits), tmp_path / "flipped.ckpt", "cut short|damaged", load)


@each_reader
def test_a_checkpoint_of_another_program_is_refused(load, tmp_path):
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
    with pytest.raises(BadInputError, match="another program's"):
        load(tmp_path / "other.ckpt")


def test_a_checkpoint_that_fit_did_not_write_is_refused(tmp_path):
    ChecksummedCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(BadInputError, match="was not written by fit"):
        read_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize(("path", "why"), [("missing.ckpt", "does not exist"), (".", "is a folder")])
def test_a_path_that_is_no_file_is_refused(path, why):
    with pytest.raises(BadInputError, match=f"must be a checkpoint's file.*{why}"):
        read_checkpoint(Path(path))


@pytest.mark.parametrize("words", [{}, {"weights_only": True}, {"map_location": "cpu"}, {"strict": True}], ids=str)
def test_a_checkpoint_alone_rebuilds_the_model(words, checkpoint):
    model = Classifier.load_from_checkpoint(checkpoint, **words)
    assert_equal(dict(model.state_dict()), dict(read_checkpoint(checkpoint)["state_dict"]))
    assert dict(model.hparams) == read_checkpoint(checkpoint)["hyper_parameters"]


def test_hyperparameters_given_in_python_replace_those_of_the_checkpoint(checkpoint):
    model = Classifier.load_from_checkpoint(checkpoint, "cpu", optimizer=torch.optim.Adam)
    assert model.hparams["optimizer"]["class_path"] == "torch.optim.adam.Adam"


def test_a_checkpoint_alone_rebuilds_the_data_module(checkpoint):
    assert Points.load_from_checkpoint(checkpoint).hparams["num_validation"] == 50


def test_plain_torch_reads_a_checkpoint_too(checkpoint):
    assert_equal(torch.load(checkpoint, weights_only=True), read_checkpoint(checkpoint))


def test_a_checkpoint_has_one_checksum(checkpoint):
    assert checkpoint.read_bytes().count(MARK) == 1


class Malice:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("where", ["the whole checkpoint", "a hyperparameter"])
@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(where, command, checkpoint, example, capsys):
    content = Malice()
    if where == "a hyperparameter":
        content = read_checkpoint(checkpoint)
        content["hyper_parameters"]["width"] = Malice()
    ChecksummedCheckpointIO().save_checkpoint(content, "evil.ckpt")
    assert example(command, "--ckpt_path=evil.ckpt") == 2
    assert "may run code" in capsys.readouterr().err
    assert not Path("harm").exists()


def test_a_bare_pickle_is_refused_and_does_not_run(example, capsys):
    Path("evil.ckpt").write_bytes(pickle.dumps(Malice()))
    assert example("test", "--ckpt_path=evil.ckpt") == 2
    assert "another program's" in capsys.readouterr().err
    assert not Path("harm").exists()


SHELL = {"class_path": "os.system", "init_args": {"command": "mkdir harm"}}
HIDDEN = {
    "a function as an optimizer": ("hyper_parameters", {"optimizer": SHELL}),
    "a function as a scheduler": ("hyper_parameters", {"lr_scheduler": SHELL}),
    "a class of another kind": (
        "hyper_parameters",
        {"optimizer": {"class_path": "subprocess.Popen", "init_args": {"args": ["mkdir", "harm"]}}},
    ),
    "a class of a module that is not imported": (
        "hyper_parameters",
        {"optimizer": {"class_path": "evil.Optimizer", "init_args": {}}},
    ),
    "a class by its name alone": ("hyper_parameters", {"optimizer": "evil.Optimizer"}),
    "a function within a scheduler": (
        "hyper_parameters",
        {"lr_scheduler": {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": "evil.f"}}},
    ),
    "a class within an optimizer": (
        "hyper_parameters",
        {"optimizer": {"class_path": "torch.optim.sgd.SGD", "init_args": {"lr": SHELL}}},
    ),
    "more than a class and its arguments": (
        "hyper_parameters",
        {"optimizer": {"class_path": "torch.optim.sgd.SGD", "init_args": {}, "dict_kwargs": {"lr": SHELL}}},
    ),
    "a function as a number": ("hyper_parameters", {"width": SHELL}),
    "a function in a list": ("hyper_parameters", {"width": [SHELL]}),
    "a function as a key of the data": ("datamodule_hyper_parameters", {"batch_size": SHELL}),
    "keys that are not names": ("hyper_parameters", {1: 2}),
}


def manipulated(checkpoint, where, settings):
    """A checkpoint with other hyperparameters and a valid checksum, beside a module that does harm."""
    Path("evil.py").write_text("import os\nos.mkdir('harm')\n")
    content = read_checkpoint(checkpoint)
    content[where] |= settings
    ChecksummedCheckpointIO().save_checkpoint(content, "evil.ckpt")
    return Path("evil.ckpt")


@pytest.mark.parametrize(("where", "settings"), HIDDEN.values(), ids=HIDDEN)
def test_a_class_or_function_among_the_hyperparameters_is_refused_and_neither_imported_nor_run(
    where, settings, checkpoint, example, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(".")
    path = manipulated(checkpoint, where, settings)
    before = sorted(Path().rglob("*"))
    for command in ("fit", "validate", "test", "predict"):
        assert example(command, f"--ckpt_path={path}") == 2
        assert "holds hyperparameters that are not data alone" in capsys.readouterr().err
    for load in READERS:
        with pytest.raises(BadInputError, match="not data alone"):
            load(path)
    assert sorted(Path().rglob("*")) == before
    assert "evil" not in sys.modules


@pytest.mark.parametrize("where", ["hyper_parameters", "datamodule_hyper_parameters"])
@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
def test_the_keys_by_which_lightning_would_import_a_class_are_ignored(where, key, checkpoint, example, monkeypatch):
    monkeypatch.syspath_prepend(".")
    path = manipulated(checkpoint, where, {key: "evil.f"})
    assert example("test", f"--ckpt_path={path}", "--data.num_test=50") == 0
    for load in READERS:
        load(path)
    assert "evil" not in sys.modules


def test_a_checkpoint_with_an_unsuitable_hyperparameter_is_refused_by_its_name(checkpoint, example, capsys):
    path = manipulated(checkpoint, "hyper_parameters", {"width": "os.system"})
    assert example("test", f"--ckpt_path={path}", "--data.num_test=50") == 2
    assert "model.width" in capsys.readouterr().err


def test_a_hyperparameter_that_the_class_does_not_take_is_ignored(checkpoint, example):
    path = manipulated(checkpoint, "hyper_parameters", {"depth": 1})
    assert example("test", f"--ckpt_path={path}", "--data.num_test=50") == 0


def test_a_custom_optimizer_is_built_from_a_checkpoint_only_if_its_module_is_imported(
    example, monkeypatch, tmp_path, capsys
):
    monkeypatch.syspath_prepend(tmp_path)
    Path("my_own.py").write_text("import torch\n\nclass Slow(torch.optim.SGD): ...\n")
    assert example("fit", *QUICK, "--model.optimizer=my_own.Slow", "--model.optimizer.lr=0.1") == 0
    monkeypatch.delitem(sys.modules, "my_own")
    assert example("test", f"--ckpt_path={LAST}", "--data.num_test=50") == 2
    assert "of a module that is imported already. Got 'my_own.Slow'" in capsys.readouterr().err
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0  # the run's config imports it
    assert example("test", f"--ckpt_path={LAST}", "--data.num_test=50") == 0
    assert Classifier.load_from_checkpoint(LAST).hparams["optimizer"]["class_path"] == "my_own.Slow"


def test_a_checkpoint_of_a_newer_version_is_refused_and_the_version_named(checkpoint, example, capsys):
    content = read_checkpoint(checkpoint)
    content[KEY] |= {"format": FORMAT + 1, "versions": {KEY: "99.0"}}
    ChecksummedCheckpointIO().save_checkpoint(content, "newer.ckpt")
    assert example("test", "--ckpt_path=newer.ckpt") == 2
    assert "blockstep 99.0, which is newer" in capsys.readouterr().err


def test_the_best_checkpoint_is_written_before_the_next_other_one(tmp_path):
    checkpoint_io = ChecksummedCheckpointIO()
    for step in (1, 2):
        checkpoint_io.save_checkpoint({"step": step}, tmp_path / BEST)
    assert not (tmp_path / BEST).exists()
    checkpoint_io.save_checkpoint({"step": 3}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / BEST, weights_only=True) == {"step": 2}
    assert (tmp_path / BEST).stat().st_mtime_ns <= (tmp_path / "last.ckpt").stat().st_mtime_ns


def test_the_best_checkpoint_is_written_as_the_run_ends(tmp_path):
    checkpoint_io = ChecksummedCheckpointIO()
    checkpoint_io.save_checkpoint({"step": 1}, tmp_path / BEST)
    checkpoint_io.teardown()
    assert torch.load(tmp_path / BEST, weights_only=True) == {"step": 1}


def test_a_deleted_best_checkpoint_is_not_written(tmp_path):
    checkpoint_io = ChecksummedCheckpointIO()
    checkpoint_io.save_checkpoint({"step": 1}, tmp_path / BEST)
    checkpoint_io.remove_checkpoint(tmp_path / BEST)
    checkpoint_io.teardown()
    assert not (tmp_path / BEST).exists()


OUTSIDE = ["runs/../kept.ckpt", "runs/run/../../kept.ckpt", "./kept.ckpt", "folder", "file://kept.ckpt"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_out_of_a_folder_or_is_no_file_is_not_deleted(path):
    Path("runs/run").mkdir(parents=True)
    Path("folder").mkdir()
    Path("kept.ckpt").touch()
    ChecksummedCheckpointIO().remove_checkpoint(path)
    assert Path("kept.ckpt").exists()
    assert Path("folder").exists()


@pytest.mark.parametrize("path", ["runs/old.ckpt", "../here/old.ckpt"])
def test_a_checkpoint_is_deleted(path, tmp_path, monkeypatch):
    (tmp_path / "here" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    ChecksummedCheckpointIO().save_checkpoint({}, path)
    ChecksummedCheckpointIO().remove_checkpoint(path)
    assert not Path(path).exists()


@pytest.mark.parametrize("content", [b"", b"mine", b"mine" * 1000, MARK])
def test_a_file_that_is_no_checkpoint_of_ours_is_not_deleted(content, tmp_path):
    (tmp_path / "thesis.ckpt").write_bytes(content)
    ChecksummedCheckpointIO().remove_checkpoint(tmp_path / "thesis.ckpt")
    assert (tmp_path / "thesis.ckpt").read_bytes() == content


def test_a_callback_restored_from_a_crafted_checkpoint_deletes_no_file_outside_the_run(example):
    words = (*QUICK, "--trainer.callbacks=ModelCheckpoint", "--trainer.callbacks.monitor=val/loss")
    assert example("fit", *words) == 0
    content = read_checkpoint(LAST)
    (name,) = [key for key in content["callbacks"] if key.startswith("ModelCheckpoint")]
    state, worst = content["callbacks"][name], torch.tensor(9e9)
    outside = f"{state['dirpath']}/../../../../victim.txt"
    state |= {"best_model_path": outside, "kth_best_model_path": outside, "best_k_models": {outside: worst}}
    state |= {"best_model_score": worst, "kth_value": worst}
    ChecksummedCheckpointIO().save_checkpoint(content, LAST)
    Path("victim.txt").touch()
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert Path("victim.txt").exists()


def test_a_waiting_best_checkpoint_is_not_changed_by_what_is_trained_meanwhile(tmp_path):
    checkpoint_io, weights, state = ChecksummedCheckpointIO(), torch.zeros(2), {"lrs": [0.1]}
    checkpoint_io.save_checkpoint({"weights": weights, "schedule": state}, tmp_path / BEST)
    weights += 1
    state["lrs"][0] = 0.2
    checkpoint_io.teardown()
    saved = torch.load(tmp_path / BEST, weights_only=True)
    assert saved["weights"].tolist() == [0, 0]
    assert saved["schedule"] == {"lrs": [0.1]}


LOADER_KEYWORDS = {
    "hparams_file": "other.yaml", "strict": False, "map_location": "meta", "weights_only": False,
    "checkpoint_path": "x",
}  # fmt: skip


@pytest.mark.parametrize("key", LOADER_KEYWORDS)
def test_a_checkpoint_does_not_choose_how_lightning_loads_it(key, checkpoint):
    Path("other.yaml").write_text("width: 3")
    path = manipulated(checkpoint, "hyper_parameters", {key: LOADER_KEYWORDS[key]})
    loaded, own = Classifier.load_from_checkpoint(path), Classifier.load_from_checkpoint(checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), own.parameters(), strict=True))


def test_a_checkpoint_has_no_address_fetched_and_no_function_called(checkpoint, monkeypatch):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: asked.append(args))
    Path("call.yaml").write_text("width: !!python/object/apply:os.mkdir [called]\nname: !!python/name:os.mkdir\n")
    for place in ("http://127.0.0.1:9/x.yaml", "call.yaml"):
        Classifier.load_from_checkpoint(manipulated(checkpoint, "hyper_parameters", {"hparams_file": place}))
    assert asked == []
    assert not Path("called").exists()


def test_weights_that_are_whole_numbers_are_not_converted(checkpoint):
    content = read_checkpoint(checkpoint)
    content["state_dict"] = {name: value.int() for name, value in content["state_dict"].items()}
    ChecksummedCheckpointIO().save_checkpoint(content, "whole.ckpt")
    with pytest.raises(BadInputError, match="holds other numbers than the model's in state_dict"):
        Classifier.load_from_checkpoint("whole.ckpt")


def test_a_checkpoint_without_weights_gives_no_model_with_random_ones(checkpoint):
    content = read_checkpoint(checkpoint)
    content["hyper_parameters"]["strict"] = False
    content["state_dict"] = {}
    ChecksummedCheckpointIO().save_checkpoint(content, "empty.ckpt")
    with pytest.raises(BadInputError, match="does not hold the weights of this Classifier"):
        Classifier.load_from_checkpoint("empty.ckpt")


@each_reader
def test_a_checkpoint_that_inflates_is_refused_before_it_is_loaded(load, checkpoint, tmp_path):
    archive = checkpoint.read_bytes().rpartition(MARK)[0]
    small = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    content = small.getvalue() + MARK + hashlib.sha256(small.getvalue()).hexdigest().encode()
    assert_refused(content, tmp_path / "small.ckpt", "is compressed", load)


def with_checksum(archive):
    return archive + MARK + hashlib.sha256(archive).hexdigest().encode()


def nested_tuple():
    value = ()
    for _ in range(200):
        value = (value,)
    return {value: 1}


class Bytes:
    """Pickled as a call that makes many bytes of a number."""

    def __reduce__(self):
        return bytearray, (1000,)


@pytest.mark.parametrize(
    ("value", "why"), [(nested_tuple(), "more than 50 levels of tuples"), (b"bytes", "calls _codecs encode")]
)
def test_a_checkpoint_that_is_larger_in_memory_or_deeper_than_it_looks_is_refused(value, why, tmp_path):
    archive = io.BytesIO()
    torch.save({"value": value}, archive)
    assert_refused(with_checksum(archive.getvalue()), tmp_path / "small.ckpt", why, read_checkpoint)


def test_a_checkpoint_that_makes_many_bytes_of_a_number_is_refused(tmp_path):
    archive = io.BytesIO()
    torch.save({"value": Bytes()}, archive)
    content = with_checksum(archive.getvalue())
    assert_refused(content, tmp_path / "small.ckpt", "bytearray, and could fill the memory", read_checkpoint)


def cyclic():
    value = {}
    value["value"] = value
    return value


WRONG = {
    "no format": (KEY, {}), "a format that is no number": (KEY, {"format": "1"}),
    "a newer format without versions": (KEY, {"format": FORMAT + 1}),
    "a value within itself": ("hyper_parameters", cyclic()),
}  # fmt: skip


@each_reader
@pytest.mark.parametrize(("key", "value"), WRONG.values(), ids=WRONG)
def test_a_checkpoint_that_lacks_what_is_read_first_is_refused(key, value, load, checkpoint):
    content = read_checkpoint(checkpoint) | {key: value}
    ChecksummedCheckpointIO().save_checkpoint(content, "wrong.ckpt")
    with pytest.raises(BadInputError, match="ckpt_path must be a checkpoint"):
        load(Path("wrong.ckpt"))
