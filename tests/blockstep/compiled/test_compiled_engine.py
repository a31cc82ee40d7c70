import os
import re
import subprocess
import sys

import pytest
import torch
import trained_weights
from example.model import Classifier
from systems import needs_compiler

from blockstep.compiled.block import CompiledBlock
from blockstep.compiled.operations import UnsupportedError

pytestmark = [pytest.mark.slow, needs_compiler]
COMPILED = "--model.engine=compiled"
OPTIMIZERS = {
    "sgd": [],
    "momentum": ["--model.optimizer=SGD", "--model.optimizer.lr=0.01", "--model.optimizer.momentum=0.9"],
    "adam": ["--model.optimizer=Adam", "--model.optimizer.lr=0.001", "--model.optimizer.eps=0.001"],
    "adamw": ["--model.optimizer=AdamW", "--model.optimizer.lr=0.001", "--model.optimizer.eps=0.001"],
}


def fit(example, *words, name="run"):
    """Weights, logged rows and folder of a run."""
    return trained_weights.fit(example, Classifier, *words, name=name)


def assert_close(ours, theirs, seed=0):
    """The runs end in the same place, beside the way that they have come."""
    trained_weights.assert_close(ours, theirs, Classifier, seed)


@pytest.mark.parametrize("words", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_compiled_epoch_with_a_short_last_batch_agrees_with_eager(words, example):
    words = [*words, "--data.batch_size=32", "--data.shuffle=true"]
    eager, *_ = fit(example, *words, name="eager")
    compiled, *_ = fit(example, *words, COMPILED, name="compiled")
    assert_close(compiled, eager)


def test_a_schedule_by_epoch_moves_the_compiled_learning_rate(example):
    words = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1", "--trainer.max_epochs=2"]
    eager, *_ = fit(example, *words, name="eager")
    compiled, *_ = fit(example, *words, COMPILED, name="compiled")
    assert_close(compiled, eager)


def test_limits_are_obeyed_to_the_step(example):
    *_, folder = fit(example, COMPILED, "--trainer.max_steps=37", "--trainer.max_epochs=-1")
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 37


@pytest.mark.parametrize("words", [OPTIMIZERS["sgd"], OPTIMIZERS["momentum"], OPTIMIZERS["adam"]])
def test_a_compiled_run_resumed_in_an_epoch_equals_an_uninterrupted_one(words, example):
    words = [*words, COMPILED, "--data.shuffle=true", "--trainer.max_epochs=3"]
    saved = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.every_n_train_steps=137"]
    whole, _, folder = fit(example, *words, *saved, "--trainer.callbacks.save_top_k=-1", name="whole")
    rest, *_ = fit(example, *words, f"--ckpt_path={folder}/checkpoints/epoch=1-step=137.ckpt", name="rest")
    assert all(torch.equal(one, other) for one, other in zip(whole, rest, strict=True))


FALLBACKS = {
    "another optimizer": (["--model.optimizer=RMSprop", "--model.optimizer.lr=0.01"], "the optimizer is RMSprop"),
    "clipping": (["--trainer.gradient_clip_val=1"], "gradient_clip_val is 1"),
    "single steps": (["--data.block_size=1"], "data.block_size is 1"),
    "mixed precision": (["--trainer.precision=bf16-mixed"], "trainer.precision is bf16-mixed"),
    "double precision": (["--trainer.precision=64-true"], "trainer.precision is 64-true"),
}


@pytest.mark.parametrize(("words", "reason"), FALLBACKS.values(), ids=FALLBACKS)
def test_what_cannot_be_compiled_is_trained_in_eager_with_a_line_that_says_why(words, reason, example, capsys):
    eager, *_ = fit(example, *words, name="eager")
    assert "engine:" not in capsys.readouterr().out
    fallen_back, *_ = fit(example, *words, COMPILED, name="compiled")
    assert re.search(rf"^engine: eager, not compiled: .*{reason}", capsys.readouterr().out, re.MULTILINE)
    assert all(torch.equal(one, other) for one, other in zip(eager, fallen_back, strict=True))


def test_a_checkpoint_of_a_compiled_run_loads_without_a_compiler(example, monkeypatch):
    *_, folder = fit(example, COMPILED)
    monkeypatch.setenv("PATH", "")
    assert example("test", f"--ckpt_path={folder}/checkpoints/last.ckpt", "--data.num_test=50") == 0


def test_programs_are_kept_for_the_next_process(tmp_path):
    environment = os.environ | {"BLOCKSTEP_CACHE": str(tmp_path / "programs")}
    words = [sys.executable, "-m", "example", "fit", COMPILED, "--data.num_validation=50"]
    told = [
        subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
        for _ in range(2)
    ]
    assert ["compiling a program" in out for out in told] == [True, False]


def test_a_cache_that_cannot_be_used_is_a_reason_to_train_in_eager(example, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BLOCKSTEP_CACHE", str(tmp_path / "file"))
    fit(example, COMPILED)
    assert f"the cache folder {tmp_path / 'file'}" in capsys.readouterr().out


def test_an_optimizer_that_changes_in_kind_is_trained_in_eager_from_there(example, capsys, monkeypatch):
    def refuse(*_):
        raise UnsupportedError("for a test")

    monkeypatch.setattr(CompiledBlock, "run", refuse)
    fit(example, COMPILED)
    assert "engine: eager from here on, not compiled: for a test" in capsys.readouterr().out
