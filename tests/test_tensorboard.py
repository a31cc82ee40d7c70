import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from batchlab.charts import DESCRIPTIONS, LAYOUT
from batchlab.event_files import EventsSeen, RunEvents
from batchlab.loggers import RunTable

QUICK = ("--data.num_validation=200",)
REGIMES = {"batch": "null", "online": "1", "minibatch": "10"}


def read(name, reader=EventAccumulator):
    events = reader(f"runs/{name}/version_0", size_guidance={"scalars": 0, "images": 0, "tensors": 0, "histograms": 0})
    return events.Reload()


@pytest.fixture
def three_runs(batchlab):
    """The notebook's regimes, for three epochs each."""
    for name, size in REGIMES.items():
        words = (f"--name={name}", f"--data.batch_size={size}", "--trainer.max_epochs=3")
        assert batchlab("fit", *QUICK, *words) == 0
    return [read(name) for name in REGIMES]


@pytest.fixture
def one_run(batchlab):
    """A mini-batch run of five epochs."""
    assert batchlab("fit", *QUICK, "--trainer.max_epochs=5") == 0
    return read("minibatch")


@pytest.mark.slow
def test_the_x_axes_of_all_regimes_agree_since_they_count_events(three_runs):
    for tag in ("train/loss", "train/last_batch_loss", "val/loss", "val/regret", "time/epoch_sec"):
        start = [] if tag == "train/last_batch_loss" else [0]
        for events in three_runs:
            assert [point.step for point in events.Scalars(tag)] == [*start, 1100, 2200, 3300], tag
    for events in three_runs:
        assert [image.step for image in events.Images("decision/contour")] == [1100, 2200, 3300]


def test_an_only_epoch_is_drawn_as_a_line(batchlab):
    assert batchlab("fit", *QUICK) == 0
    for tag in ("train/loss", "time/epoch_sec"):
        (start, first), (end, last) = [(point.step, point.value) for point in read("minibatch").Scalars(tag)]
        assert (start, end) == (0, 1100)
        assert first == last


@pytest.mark.slow
def test_validation_curves_set_out_from_one_point_before_the_first_step(three_runs):
    for tag in ("val/loss", "val/regret", "val/auroc", "val/average_precision"):
        starts = {events.Scalars(tag)[0].value for events in three_runs}
        assert len(starts) == 1, tag
        assert starts.isdisjoint(events.Scalars(tag)[-1].value for events in three_runs), tag


@pytest.mark.slow
def test_curves_within_the_epochs_have_some_two_hundred_points_in_every_regime(three_runs):
    curves = [events.Scalars("train/step_loss") for events in three_runs]
    assert [len(curve) for curve in curves] == [194, 194, 194]
    for curve in curves:
        assert curve[-1].step > 3300 * (1 - 1 / 200)


@pytest.mark.slow
def test_a_step_over_many_stretches_has_its_loss_at_each(three_runs):
    batch = three_runs[0]
    drawn = [point.value for point in batch.Scalars("train/step_loss") if point.step <= 1100]
    assert set(drawn) == {batch.Scalars("train/last_batch_loss")[0].value}


def test_points_within_an_epoch_average_to_its_mean(batchlab):
    assert batchlab("fit", *QUICK, "--data.num_signal=20", "--data.num_background=180", "--data.batch_size=1") == 0
    events = read("minibatch")
    points = [point.value for point in events.Scalars("train/step_loss")]
    assert len(points) == 200
    assert np.mean(points) == pytest.approx(events.Scalars("train/loss")[0].value, rel=1e-5)


@pytest.mark.parametrize("validated", ["--trainer.limit_val_batches=1.0", "--trainer.limit_val_batches=0"])
def test_a_run_without_an_end_thins_its_points_out(validated, batchlab):
    online = ("--name=online", "--data.batch_size=1", "--data.num_signal=20", "--data.num_background=180", *QUICK)
    assert batchlab("fit", *online, validated, "--trainer.max_epochs=-1", "--trainer.max_steps=800") == 0
    steps = [point.step for point in read("online").Scalars("train/step_loss")]
    assert steps == [*range(1, 200), *range(200, 400, 2), *range(400, 804, 4)]


def test_every_chart_is_described(batchlab):
    asked = "--trainer.callbacks+=batchlab.histograms.WeightHistograms"
    assert batchlab("fit", *QUICK, asked) == 0
    events = read("minibatch", PluginAccumulator)
    tags = {tag for kind in ("scalars", "images", "histograms", "tensors") for tag in events.Tags().get(kind, [])}
    charts = {tag for tag in tags if not tag.startswith("_") and tag not in ("custom_scalars__config__", "step1")}
    described = {tag: events.SummaryMetadata(tag).summary_description for tag in charts}
    assert not [tag for tag, description in described.items() if not description]
    assert set(described.values()) == set(DESCRIPTIONS.values())


def test_frames_have_one_size_and_differ_as_the_boundary_moves(one_run):
    frames = [imread(io.BytesIO(image.encoded_image_string)) for image in one_run.Images("decision/contour")]
    assert [image.step for image in one_run.Images("decision/contour")] == [1100, 2200, 4400, 5500]
    assert {frame.shape for frame in frames} == {(500, 600, 3)}
    for before, after in pairwise(frames):
        assert not np.array_equal(before, after)


def test_the_right_answer_is_shown_once_a_run(one_run):
    assert [image.step for image in one_run.Images("decision/exact_posterior")] == [0]
    assert [image.step for image in one_run.Images("training_events")] == [0]


def test_the_row_of_settings_has_its_columns_and_metrics_and_no_junk(one_run):
    events = read("minibatch", PluginAccumulator)
    content = events.PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
    values = {name: value.number_value or value.string_value for name, value in start.hparams.items()}
    assert values == {
        "batch size": 10, "learning rate": 0.01, "width": 64, "depth": 5, "seed": "", "seed of the data": "",
        "optimizer": "SGD",
    }  # fmt: skip
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    metrics = [metric.name.tag for metric in experiment.metric_infos]
    assert metrics == ["val/regret", "val/auroc", "val/average_precision", "time/epoch_sec"]
    assert "hp_metric" not in one_run.Tags()["scalars"]


def columns(name):
    content = read(name, PluginAccumulator).PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: value.number_value for name, value in start.hparams.items()}


def test_the_row_of_settings_tells_seeds_apart_and_knows_the_batch_size_that_was_trained_with(batchlab):
    assert batchlab("fit", *QUICK, "--seed_everything=3", "--data.seed=4", "--data.batch_size=5000") == 0
    row = columns("minibatch")
    assert (row["seed"], row["seed of the data"], row["batch size"]) == (3, 4, 1100)


def test_only_a_run_that_has_ended_is_called_a_success(batchlab):
    assert batchlab("fit", *QUICK) == 0
    assert "_hparams_/session_end_info" in read("minibatch", PluginAccumulator).PluginTagToContent("hparams")
    assert batchlab("fit", *QUICK, "--model.optimizer.lr=1e30", "--name=wild") == 1
    assert "_hparams_/session_end_info" not in read("wild", PluginAccumulator).PluginTagToContent("hparams")


def test_charts_are_grouped_and_the_groups_name_charts_that_exist(one_run):
    assert "custom_scalars__config__" in read("minibatch", PluginAccumulator).Tags()["tensors"]
    named = {pattern for charts in LAYOUT.values() for _, patterns in charts.values() for pattern in patterns}
    assert {pattern.removesuffix("$") for pattern in named} <= set(one_run.Tags()["scalars"])


def test_a_run_says_in_words_and_as_a_config_what_it_is(one_run):
    texts = {
        tag: one_run.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in ("run/about/text_summary", "run/config/text_summary")
    }
    assert texts["run/about/text_summary"].startswith(
        "**Mini-batch learning**: 1,100 training events in batches of 10, which makes 110 step(s) an epoch; 1 thread(s)"
    )
    assert "    seed_everything: 0\n" in texts["run/config/text_summary"]


def test_there_are_a_graph_and_a_precision_recall_curve_at_the_end(one_run):
    assert one_run.Tags()["graph"]
    assert [curve.step for curve in one_run.Tensors("val/pr_curve")] == [5500]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_every_precision_is_drawn(precision, batchlab):
    assert batchlab("fit", *QUICK, f"--trainer.precision={precision}") == 0
    assert "val/pr_curve" in read("minibatch").Tags()["tensors"]


def test_a_run_without_validation_has_no_such_curve(batchlab):
    assert batchlab("fit", "--trainer.limit_val_batches=0", "--name=minibatch") == 0
    assert "val/pr_curve" not in read("minibatch").Tags()["tensors"]


@pytest.mark.parametrize("block_size", ["0", "1"])
def test_histograms_are_drawn_on_request_alone(block_size, batchlab):
    words = ("--trainer.max_epochs=2", f"--data.block_size={block_size}")
    assert batchlab("fit", *QUICK, *words) == 0
    assert not read("minibatch").Tags()["histograms"]
    asked = "--trainer.callbacks+=batchlab.histograms.WeightHistograms"
    assert batchlab("fit", *QUICK, *words, asked, "--name=asked") == 0
    events = read("asked")
    assert len(events.Tags()["histograms"]) == 24
    assert [drawn.step for drawn in events.Histograms("gradients/network.0.weight")] == [1100, 2200]


def test_histograms_can_be_fewer(batchlab):
    asked = ("--trainer.callbacks+=batchlab.histograms.WeightHistograms", "--trainer.callbacks.every_n_epochs=2")
    assert batchlab("fit", *QUICK, "--trainer.max_epochs=3", *asked) == 0
    assert [drawn.step for drawn in read("minibatch").Histograms("weights/network.0.weight")] == [2200]


def test_the_table_knows_its_run(tmp_path):
    table = RunTable(tmp_path / "mine" / "version_3" / "metrics.csv")
    assert (table.name, table.version, table.log_dir) == ("mine", "version_3", str(tmp_path / "mine" / "version_3"))


def test_histograms_change_no_result(batchlab):
    for name, asked in (("one", []), ("two", ["--trainer.callbacks+=batchlab.histograms.WeightHistograms"])):
        assert batchlab("fit", *QUICK, "--trainer.max_epochs=2", f"--name={name}", *asked) == 0
    one, two = ([point.value for point in read(name).Scalars("train/last_batch_loss")] for name in ("one", "two"))
    assert one == two


def test_a_run_that_goes_on_has_one_row_of_settings_and_one_text(batchlab):
    assert batchlab("fit", *QUICK) == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0
    events = read("minibatch")
    assert [point.step for point in events.Scalars("val/loss")] == [0, 1100, 2200, 3300]
    assert [point.step for point in events.Scalars("time/epoch_sec")] == [0, 1100, 2200, 3300]
    assert len(events.Tensors("run/about/text_summary")) == 1
    assert len(events.Images("decision/exact_posterior")) == 1
    assert len(list(Path("runs/minibatch/version_0").glob("events*"))) == 2


def test_a_first_epoch_that_goes_on_has_its_start_drawn_once(batchlab):
    assert batchlab("fit", *QUICK) == 0
    seen = EventsSeen()
    seen.load_state_dict({"events": 1100, "step_events": 10})
    logger = RunEvents(Path("runs/minibatch/version_0"), seen, resume_events=1000)
    logger.log_metrics({"epoch": 0, "train/loss": 1.0}, 0)
    logger.finalize("success")
    assert [point.step for point in read("minibatch").Scalars("train/loss")] == [0, 1110]
