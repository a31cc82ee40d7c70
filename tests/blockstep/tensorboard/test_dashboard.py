import dataclasses

import pytest
from event_reader import PluginAccumulator, hparam_row, read
from example.cli import APPLICATION

from blockstep.tensorboard.charts import Charts, plain_hyperparameters

GROUPS = {"loss": {"training and validation": ["Multiline", ["train/loss$", "val/loss$"]]}}


def text(tag, name="run"):
    return read(name).Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_run_is_described_in_words_and_by_its_config(example):
    assert example("fit") == 0
    assert text("run/about").startswith(
        "**Training**: 1,100 training events in batches of 10, which makes 110 step(s) an epoch; 1 thread(s) on CPU"
    )
    assert "    seed_everything: 0\n" in text("run/config")


def test_the_row_of_settings_has_the_plain_hyperparameters_and_the_best_and_last_loss(example):
    assert example("fit", "--model.width=4", "--data.batch_size=100") == 0
    columns, metrics = hparam_row()
    assert metrics == ["val/best_loss", "val/loss", "time/epoch_sec"]
    assert {key: columns[key] for key in ("width", "batch_size", "optimizer")} == {
        "width": 4,
        "batch_size": 100,
        "optimizer": "torch.optim.sgd.SGD",
    }
    assert "hp_metric" not in read().Tags()["scalars"]


def test_hyperparameters_that_are_not_plain_have_no_column():
    named = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
    params = {"width": 8, "sizes": [1, 2], "nothing": None, "shuffle": True, "optimizer": named, "other": {}}
    assert plain_hyperparameters(params) == {"width": 8, "shuffle": True, "optimizer": "torch.optim.SGD"}


def test_an_application_declares_groups_columns_metrics_and_names():
    charts = Charts(
        groups=GROUPS,
        hparam_columns=lambda params: {"twice the width": 2 * params["width"]},
        hparam_metrics=["train/loss"],
        regime=lambda batch_size, events: f"{events // batch_size} steps",
    )
    application = dataclasses.replace(APPLICATION, charts=charts)
    assert application.main(["fit", "--model.width=4"]) == 0
    assert hparam_row() == ({"twice the width": 8}, ["train/loss"])
    assert text("run/about").startswith("**110 steps**: ")
    assert "custom_scalars__config__" in read(reader=PluginAccumulator).Tags()["tensors"]


def test_the_graph_is_drawn_once(example):
    assert example("fit") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert read().Tags()["graph"]
    assert len(read().Tensors("run/about/text_summary")) == 1


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_every_precision_is_drawn(precision, example):
    assert example("fit", f"--trainer.precision={precision}") == 0
    assert read().Tags()["graph"]
