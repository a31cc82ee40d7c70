"""Lightning's own switches, and the keys that belong to no class, work with blocks and in run folders."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from started import QUICK, RUN, logged, start
from systems import needs_fork

from blockstep.checkpoints.checkpoint_file import read_checkpoint

SWITCHES = [
    ["--trainer.fast_dev_run=2"],
    ["--trainer.overfit_batches=2"],
    ["--trainer.limit_train_batches=3"],
    ["--trainer.limit_val_batches=1"],
    ["--trainer.max_steps=5"],
    ["--trainer.val_check_interval=5"],
    ["--trainer.detect_anomaly=true"],
    ["--trainer.enable_checkpointing=false"],
    ["--trainer.enable_model_summary=true"],
    ["--trainer.enable_progress_bar=true"],
    ["--trainer.gradient_clip_val=1"],
    ["--trainer.accumulate_grad_batches=2", "--data.block_size=1"],
    ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"],
]


@pytest.mark.parametrize("words", SWITCHES, ids=lambda words: words[0].removeprefix("--"))
def test_a_fit_works_with_each_switch(words, example):
    assert example("fit", *QUICK, *words) == 0


def test_a_fast_dev_run_writes_no_files(example):
    assert example("fit", *QUICK, "--trainer.fast_dev_run=true") == 0
    assert list(Path().iterdir()) == []


def test_a_profilers_report_is_printed(example, caplog):
    assert example("fit", *QUICK, "--trainer.profiler=simple") == 0
    assert "run_training_epoch" in caplog.text


def test_a_single_callback_needs_no_list(example):
    assert example("fit", *QUICK, "--trainer.callbacks=LearningRateMonitor") == 0
    assert logged("lr-SGD")


def test_the_number_of_threads_is_set_for_torch_and_for_child_processes(example):
    assert example("fit", *QUICK, "--threads=2", "--data.num_workers=1") == 0
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"


def test_one_thread_is_the_default(example):
    assert example("fit", *QUICK) == 0
    assert (torch.get_num_threads(), torch.get_num_interop_threads()) == (1, 1)
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"


OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.integers(1, 300),
    num_training=st.integers(1, 200),
    width=st.integers(1, 80),
    optimizer=st.sampled_from(OPTIMIZERS),
    lr=st.floats(1e-6, 0.1),
    shuffle=st.booleans(),
    block_size=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_valid_settings_fit(example, width, optimizer, lr, seed, **data):
    model = [f"--model.width={width}", f"--model.optimizer={optimizer}", f"--model.optimizer.lr={lr}"]
    words = [*model, *(f"--data.{key}={str(value).lower()}" for key, value in data.items())]
    assert example("fit", *words, f"--seed_everything={seed}", "--data.num_validation=50") == 0


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", pytest.param("ddp_fork", marks=needs_fork)])
def test_two_processes_share_a_folder_and_give_the_numbers_of_one_at_the_same_global_batch_size(strategy):
    words = ("fit", "--trainer.max_epochs=2")
    for name, more in (("one", ()), ("two", ("--trainer.devices=2", f"--trainer.strategy={strategy}"))):
        done = start(*words, f"--name={name}", *more)
        assert done.returncode == 0, done.stderr
    assert [path.name for path in Path("runs/two").iterdir()] == ["version_0"]
    one, two = (Path("runs") / name / "version_0" for name in ("one", "two"))
    for key in ("train/loss", "val/loss"):
        numbers = [[float(value) for value in logged(key, folder)] for folder in (one, two)]
        assert len(numbers[0]) == 2
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-3)


def test_a_refusal_after_the_training_keeps_what_the_run_has_saved(example, monkeypatch, tmp_path):
    Path("late.py").write_text(
        "from blockstep.base.errors import BadInputError\n"
        "from lightning.pytorch import Callback\n"
        "class Refuses(Callback):\n"
        "    def on_fit_end(self, trainer, pl_module):\n"
        "        raise BadInputError('too late')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert example("fit", *QUICK, "--trainer.callbacks+=late.Refuses") == 1
    assert read_checkpoint(RUN / "checkpoints" / "last.ckpt")["epoch"] == 1
