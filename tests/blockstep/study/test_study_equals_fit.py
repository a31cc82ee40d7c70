import csv

import pytest
import torch
from example.cli import APPLICATION
from small_studies import FOLDER, WORDS, rows

from blockstep.study import training
from blockstep.study.options import read_options
from blockstep.study.plan import make_plan
from blockstep.study.training import train

SCHEDULER = "--model.lr_scheduler"
PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"

MORE = {
    "as it is": (),
    "compiled": ("--engine=compiled",),
    "momentum and a scheduler": (
        "--model.optimizer.momentum=.5", f"{SCHEDULER}=ExponentialLR", f"{SCHEDULER}.gamma=.9",
    ),
    "a scheduler that reads a metric": (f"{SCHEDULER}={PLATEAU}", f"{SCHEDULER}.patience=0"),
    "gradients clipped": ("--trainer.gradient_clip_val=.1",),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
def test_a_training_of_a_study_is_the_fit_with_the_same_settings(more, example):
    plan = make_plan(APPLICATION, read_options("example study", [*WORDS, "--targets=.1", "--seeds=2", *more]))
    for run in (plan.runs[0], plan.runs[-1]):
        trained, weights = train_and_keep(plan, run, 40)
        end = ["--trainer.max_steps=40", "--trainer.max_epochs=-1", "--name=same"]
        assert example("fit", *plan.words, *run.words, *end) == 0
        folder = max(FOLDER.with_name("same").iterdir(), key=lambda path: path.stat().st_mtime)
        fitted = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        assert trained.watch.steps[-1] == 40
        assert fitted.keys() == weights.keys()
        assert all(torch.equal(fitted[name], weights[name]) for name in fitted)
        with (folder / "metrics.csv").open(newline="") as file:
            losses = [row["val/loss"] for row in csv.DictReader(file) if row["val/loss"]]
        assert float(losses[-1]) == trained.watch.values[-1]


def train_and_keep(plan, run, steps):
    """Train, and return what was measured and the weights."""
    kept = {}
    trained = train(plan.task(run, steps), finished=lambda model: kept.update(model.state_dict()))
    assert not trained.message
    return trained, kept


@pytest.mark.slow
def test_programs_are_shared_by_trainings_that_differ_in_seed_rate_and_size(example):
    assert example("study", *WORDS, "--seeds=2", "--engine=compiled") == 0
    shared = rows()
    plan = make_plan(APPLICATION, read_options("example study", [*WORDS, "--seeds=2", "--engine=compiled"]))
    for run in plan.runs:
        training._KNOWN.clear()  # with no programs yet
        watch = train(plan.task(run, plan.most_steps(run, 200 // run.cell[0]))).watch
        assert [float(row["value"]) for row in shared if row["run"] == run.name] == watch.values
