import pytest
from event_reader import PluginAccumulator, read

from blockstep.tensorboard.histograms import DESCRIPTIONS

ASKED = "--trainer.callbacks+=blockstep.tensorboard.histograms.WeightHistograms"


@pytest.mark.parametrize("block_size", ["0", "1"])
def test_histograms_are_drawn_on_request_alone(block_size, example):
    words = ("--trainer.max_epochs=2", f"--data.block_size={block_size}")
    assert example("fit", *words) == 0
    assert not read().Tags()["histograms"]
    assert example("fit", *words, ASKED, "--name=asked") == 0
    events = read("asked")
    assert len(events.Tags()["histograms"]) == 8
    assert [drawn.step for drawn in events.Histograms("gradients/network.0.weight")] == [1100, 2200]


def test_histograms_can_be_fewer(example):
    assert example("fit", "--trainer.max_epochs=3", ASKED, "--trainer.callbacks.every_n_epochs=2") == 0
    assert [drawn.step for drawn in read().Histograms("weights/network.0.weight")] == [2200]


def test_the_gradients_are_those_of_the_last_batch_with_blocks_and_without(example):
    for size in (0, 1):
        assert example("fit", ASKED, f"--name=run{size}", f"--data.block_size={size}") == 0
    blocks, steps = (read(f"run{size}").Histograms("gradients/network.0.weight")[0] for size in (0, 1))
    assert blocks.histogram_value == steps.histogram_value


@pytest.mark.parametrize(("lr", "drawn"), [("1e25", 8), (".inf", 0)])
def test_a_run_that_diverges_goes_on_and_only_finite_weights_are_drawn(lr, drawn, example):
    ignored = (f"--model.optimizer.lr={lr}", "--on_nan=ignore")
    assert example("fit", ASKED, *ignored, "--trainer.max_steps=1") == 0
    assert len(read().Tags()["histograms"]) == drawn


def test_histograms_are_described(example):
    assert example("fit", ASKED) == 0
    events = read(reader=PluginAccumulator)
    for group, description in DESCRIPTIONS.items():
        assert events.SummaryMetadata(f"{group}/network.0.weight").summary_description == description


def test_histograms_change_no_result(example):
    for name, asked in (("one", []), ("two", [ASKED])):
        assert example("fit", "--trainer.max_epochs=2", f"--name={name}", *asked) == 0
    one, two = ([point.value for point in read(name).Scalars("train/last_batch_loss")] for name in ("one", "two"))
    assert one == two
