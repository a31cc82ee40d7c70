import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

import blockstep
from blockstep.checkpoints.checkpoint_file import KEY, read_checkpoint
from blockstep.checkpoints.provenance import data_hash, git_revision

RUN = Path("runs/run/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
QUICK = ("--data.num_training=50", "--data.num_validation=10")

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def provenance(path=LAST):
    return read_checkpoint(path)[KEY]


def git(*words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(content):
    """Make a repository with a commit of one file in the current folder; return the commit."""
    git("init", "-q")
    Path("file").write_text(content)
    git("add", "file")
    git("commit", "-q", "-m", "one")
    return git("rev-parse", "HEAD")


def test_a_checkpoint_names_the_versions_that_it_was_trained_with(example):
    assert example("fit", *QUICK) == 0
    versions = {name: version(name) for name in ("lightning", "numpy", "torch")}
    versions |= {"python": platform.python_version(), "blockstep": blockstep.__version__}
    assert provenance()["versions"] == versions


def test_a_checkpoint_holds_the_config_of_its_run(example):
    assert example("fit", *QUICK, "--data.batch_size=7") == 0
    assert provenance()["config"] == (RUN / "config.yaml").read_text()
    assert "batch_size: 7\n" in provenance()["config"]


@needs_git
def test_a_checkpoint_names_the_commit(example):
    expected = commit("x")
    assert example("fit", *QUICK) == 0
    assert provenance()["git"] == expected


@needs_git
def test_a_commit_with_changes_is_marked_by_a_plus():
    expected = commit("x")
    Path("file").write_text("y")
    assert git_revision() == f"{expected}+"


def test_outside_of_a_repository_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision() is None


@needs_git
def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    commit("x")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() is None


def test_a_checkpoint_holds_the_hash_of_its_training_data(example):
    for name, words in {"a": (), "b": ("--data.shuffle=true",), "c": ("--data.seed=1",)}.items():
        assert example("fit", *QUICK, f"--name={name}", *words) == 0
    hashes = [provenance(Path(f"runs/{name}/version_0/checkpoints/last.ckpt"))["data_sha256"] for name in "abc"]
    assert len(hashes[0]) == 64
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_depends_on_values_shapes_and_types():
    zeros = torch.zeros(4, 2)
    others = [torch.ones(4, 2), torch.zeros(2, 4), torch.zeros(4, 2, dtype=torch.int32)]
    assert len({data_hash(DataLoader(TensorDataset(tensor))) for tensor in (zeros, *others)}) == 4


def test_the_hash_does_not_depend_on_how_a_tensor_lies_in_memory():
    tensor = torch.arange(6.0).view(2, 3)
    loaders = [DataLoader(TensorDataset(t)) for t in (tensor, tensor.t().contiguous().t())]
    assert data_hash(loaders[0]) == data_hash(loaders[1])


WITHOUT_TENSORS = {
    "no data set": [1, 2],
    "a list": DataLoader([1, 2]),
    "a part of a data set": DataLoader(Subset(TensorDataset(torch.ones(2)), [0])),
    "nothing": None,
}


@pytest.mark.parametrize("loader", WITHOUT_TENSORS.values(), ids=WITHOUT_TENSORS)
def test_data_without_tensors_have_no_hash(loader):
    assert data_hash(loader) == ""


def test_data_without_tensors_are_trained_on_and_resumed(example):
    Path("listed.py").write_text(
        "from example.data import DataLoader, Points\n\n"
        "class Listed(Points):\n"
        "    def train_dataloader(self):\n"
        "        return DataLoader(list(self.training), batch_size=10)\n"
    )
    assert example("fit", "--data=listed.Listed", *QUICK, "--trainer.log_every_n_steps=5") == 0
    assert provenance()["data_sha256"] == ""
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_resuming_with_other_data_warns(example):
    assert example("fit", *QUICK) == 0
    words = ["--allow_changes=true", "--trainer.max_epochs=2", *QUICK, "--data.seed=1"]
    with pytest.warns(UserWarning, match="not those of the checkpoint"):
        assert example("fit", f"--ckpt_path={LAST}", *words) == 0
