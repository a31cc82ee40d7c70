import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from batchlab.charts import DESCRIPTIONS, GROUPS, hparam_columns
from blockstep.checkpoints.checkpoint_file import read_checkpoint

QUICK = ("--name=minibatch", "--data.num_validation=200")
REGIMES = {"batch": "null", "online": "1", "minibatch": "10"}


def read(name="minibatch", reader=EventAccumulator):
    sizes = {"scalars": 0, "images": 0, "tensors": 0}
    return reader(f"runs/{name}/version_0", size_guidance=sizes).Reload()


@pytest.fixture
def one_run(batchlab):
    """A mini-batch run of five epochs."""
    assert batchlab("fit", *QUICK, "--trainer.max_epochs=5") == 0
    return read()


def hparams(name="minibatch"):
    """The columns of a run's row of settings, and the tags of its metrics."""
    content = read(name, PluginAccumulator).PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    columns = {key: value.number_value or value.string_value.strip() for key, value in start.hparams.items()}
    return columns, [metric.name.tag for metric in experiment.metric_infos]


@pytest.mark.slow
def test_contours_and_curves_of_all_regimes_line_up(batchlab):
    for name, size in REGIMES.items():
        words = (f"--name={name}", f"--data.batch_size={size}", "--trainer.max_epochs=3")
        assert batchlab("fit", *QUICK, *words) == 0
    runs = [read(name) for name in REGIMES]
    for events in runs:
        assert [image.step for image in events.Images("decision/contour")] == [1100, 2200, 3300]
    for tag in ("val/loss", "val/regret", "val/auroc", "val/average_precision"):
        starts = {events.Scalars(tag)[0].value for events in runs}
        assert len(starts) == 1, tag
        assert starts.isdisjoint(events.Scalars(tag)[-1].value for events in runs), tag
        assert all([point.step for point in events.Scalars(tag)] == [0, 1100, 2200, 3300] for events in runs), tag


def test_every_chart_is_described_in_the_lessons_words(batchlab):
    assert batchlab("fit", *QUICK) == 0
    events = read(reader=PluginAccumulator)
    tags = {tag for kind in ("scalars", "images", "tensors") for tag in events.Tags().get(kind, [])}
    charts = {tag for tag in tags if not tag.startswith("_") and tag not in ("custom_scalars__config__", "step1")}
    described = {tag: events.SummaryMetadata(tag).summary_description for tag in charts}
    assert not [tag for tag, description in described.items() if not description]
    assert set(DESCRIPTIONS.values()) <= set(described.values())


def test_frames_have_one_size_and_differ_as_the_boundary_moves(one_run):
    frames = [imread(io.BytesIO(image.encoded_image_string)) for image in one_run.Images("decision/contour")]
    assert [image.step for image in one_run.Images("decision/contour")] == [1100, 2200, 4400, 5500]
    assert {frame.shape for frame in frames} == {(500, 600, 3)}
    for before, after in pairwise(frames):
        assert not np.array_equal(before, after)


def test_the_exact_posterior_and_the_events_are_drawn_once_a_run(one_run):
    assert [image.step for image in one_run.Images("decision/exact_posterior")] == [0]
    assert [image.step for image in one_run.Images("training_events")] == [0]


def test_runs_of_the_same_data_show_the_exact_posterior_and_the_events_once(batchlab):
    for name in REGIMES:
        assert batchlab("fit", *QUICK, f"--name={name}") == 0
    assert batchlab("fit", *QUICK, "--name=even", "--data.num_background=100") == 0
    for tag in ("decision/exact_posterior", "training_events"):
        assert [name for name in (*REGIMES, "even") if tag in read(name).Tags()["images"]] == ["batch", "even"]


def test_a_resumed_run_draws_the_exact_posterior_no_second_time(one_run, batchlab):
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=6") == 0
    assert len(read().Images("decision/exact_posterior")) == 1


def test_the_row_of_settings_has_the_lessons_columns_and_metrics(one_run):
    columns, metrics = hparams()
    assert columns == {
        "batch size": "10", "learning rate": 0.01, "width": "64", "depth": "5", "seed": "0", "seed of the data": "0",
        "optimizer": "SGD",
    }  # fmt: skip
    assert metrics == ["val/best_regret", "val/regret", "val/auroc", "val/average_precision", "time/epoch_sec"]
    assert "hp_metric" not in one_run.Tags()["scalars"]


def test_the_best_regret_is_that_of_the_best_checkpoint(batchlab):
    words = ("--trainer.max_epochs=12", "--model.optimizer=Adam", "--model.optimizer.lr=0.01")
    assert batchlab("fit", *QUICK, *words) == 0
    state = read_checkpoint(Path("runs/minibatch/version_0/checkpoints/last.ckpt"))["callbacks"]["BestCheckpoint"]
    best, last = (read().Scalars(f"val/{name}")[-1].value for name in ("best_regret", "regret"))
    assert best == float(state["best_model_score"]) < last


def test_the_row_of_settings_has_both_seeds_and_the_batch_size_of_the_training(batchlab):
    assert batchlab("fit", *QUICK, "--seed_everything=3", "--data.seed=4", "--data.batch_size=5000") == 0
    row, _ = hparams()
    assert (row["seed"], row["seed of the data"], row["batch size"]) == ("3", "4", "1100")


def test_whole_numbers_are_texts_that_sort_as_numbers():
    sizes = [1, 2, 10, 64, 1100, 10**6]
    shown = [hparam_columns({"batch_size": size})["batch size"] for size in sizes]
    assert [text.strip() for text in shown] == [str(size) for size in sizes]
    assert shown == sorted(shown)


def test_every_group_has_a_chart_that_exists(one_run):
    tags = set(one_run.Tags()["scalars"])
    for charts in GROUPS.values():
        for _, patterns in charts.values():
            assert {pattern.removesuffix("$") for pattern in patterns} & tags


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "**Batch learning**: 1,100 training events in batches of 1,100, which makes 1 step(s) an epoch"),
        (1, "**Online learning**: 1,100 training events in batches of 1, which makes 1,100 step(s) an epoch"),
        (10, "**Mini-batch learning**: 1,100 training events in batches of 10, which makes 110 step(s) an epoch"),
    ],
)
def test_a_run_is_called_by_its_regime(size, words, batchlab):
    assert batchlab("fit", *QUICK, f"--data.batch_size={size or 'null'}") == 0
    text = read().Tensors("run/about/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.startswith(words)


def test_there_is_a_precision_recall_curve_at_the_end(one_run):
    assert [curve.step for curve in one_run.Tensors("val/pr_curve")] == [5500]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_the_precision_recall_curve_is_drawn_in_every_precision(precision, batchlab):
    assert batchlab("fit", *QUICK, f"--trainer.precision={precision}") == 0
    assert "val/pr_curve" in read().Tags()["tensors"]


def test_a_run_without_validation_has_no_such_curve(batchlab):
    assert batchlab("fit", "--trainer.limit_val_batches=0") == 0
    assert "val/pr_curve" not in read().Tags()["tensors"]


def test_the_charts_need_nothing_heavy():
    code = "import sys, batchlab.cli; print({'torch', 'lightning', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
