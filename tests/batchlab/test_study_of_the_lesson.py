import csv
import re
from pathlib import Path

import pytest
import torch

from batchlab.cli import APPLICATION
from blockstep.study.options import read_options
from blockstep.study.pictures import Draw
from blockstep.study.plan import make_plan
from blockstep.study.training import train


@pytest.fixture(scope="module")
def plan():
    return make_plan(APPLICATION, read_options("batchlab study", []))


def test_the_default_study_has_seven_sizes_six_rates_and_five_seeds(plan):
    assert {key: len(values) for key, values in plan.axes.items()} == {"data.batch_size": 7, "model.optimizer.lr": 6}
    assert len(plan.runs) == 7 * 6 * 5
    assert (plan.metric, plan.targets, plan.engine) == ("val/regret", (0.1, 0.05, 0.02), "compiled")


def test_a_seed_is_one_of_the_weights_and_of_the_orders(plan):
    last = plan.runs[-1].config
    assert (last.seed_everything, last.data.order_seed, last.data.seed) == (4, 4, 0)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("place", [0, 14, 41 + 20])
def test_a_training_of_the_study_is_the_fit_with_the_same_settings(place, engine, batchlab):
    plan = make_plan(APPLICATION, read_options("batchlab study", ["--seeds=2", f"--engine={engine}"]))
    run, kept = plan.runs[place], {}
    watch = train(plan.task(run, 50), finished=lambda model: kept.update(model.state_dict())).watch
    end = [f"--trainer.max_steps={watch.steps[-1]}", "--trainer.max_epochs=-1", "--name=same"]
    validated = [f"--trainer.val_check_interval={watch.steps[-1]}", "--trainer.check_val_every_n_epoch=null"]
    assert batchlab("fit", *plan.words, *run.words, *end, *validated) == 0
    fitted = torch.load("runs/same/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(fitted[name], kept[name]) for name in fitted)
    with Path("runs/same/version_0/metrics.csv").open(newline="") as file:
        regrets = [row["val/regret"] for row in csv.DictReader(file) if row["val/regret"]]
    assert float(regrets[-1]) == watch.values[-1]


def test_a_picture_is_drawn_of_what_is_learned(plan):
    drawer = Draw("batchlab.epoch_report.draw_model", [1, 5])
    assert not train(plan.task(plan.runs[12], 8), drawer).message
    assert [events for events, _ in drawer.frames] == [0, 10, 50]
    assert all(png.startswith(b"\x89PNG") for _, png in drawer.frames)
    assert len({png for _, png in drawer.frames}) == 3


def test_scores_that_nobody_reads_are_left_out(plan):
    models = []
    watch = train(plan.task(plan.runs[12], 8), finished=models.append).watch
    assert watch.logged == ["val/auroc", "val/average_precision", "val/loss", "val/regret"]  # before the first step
    assert models[0].evaluation.regret_alone


@pytest.mark.slow
def test_each_value_of_a_third_axis_has_its_pictures(batchlab):
    grid = ["--vary=data.batch_size=10,100", "--vary=model.optimizer.lr=.1,.3", "--vary=model.hidden=8,16"]
    assert batchlab("study", *grid, "--targets=.3", "--budget=4", "--seeds=1", "--engine=eager") == 0
    page = Path("runs/study/report.html").read_text("utf-8")
    titles = re.findall(r"<figcaption>batch size (.*?): <span>", page)
    assert titles == ["10, hidden 8", "100, hidden 8", "10, hidden 16", "100, hidden 16"]
