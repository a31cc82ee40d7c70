import csv
from pathlib import Path

import pytest
from matplotlib.image import imread
from shipped import config

from batchlab.cli import APPLICATION
from batchlab.compare import REGIMES, _panels
from batchlab.compare_table import as_text, summarize

QUICK = ("--data.num_validation=200",)
RESULT = Path("runs/compare/version_0")


def table():
    with (RESULT / "table.csv").open(newline="") as file:
        return {row["regime"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_the_three_regimes_are_trained_and_shown_side_by_side(batchlab, capsys):
    assert batchlab("compare", *QUICK) == 0
    rows = table()
    assert {name: row["steps"] for name, row in rows.items()} == {"batch": "1", "online": "1100", "minibatch": "110"}
    out = capsys.readouterr().out
    for row in rows.values():
        assert f"loss = {row['printed_loss']}\n" in out
        assert row["printed_loss"] in out.rpartition("regime")[2]


@pytest.mark.slow
def test_each_run_is_an_ordinary_fit_with_its_own_folder(batchlab):
    words = ("--runs=elsewhere", "--trainer.max_epochs=2", "--data.num_background=200")
    assert batchlab("compare", *QUICK, *words) == 0
    for name in ("batch", "online", "minibatch"):
        assert Path(f"elsewhere/{name}/version_0/config.yaml").exists()
        assert summarize(Path(f"elsewhere/{name}/version_0"))["steps"] == 2 * {"batch": 1, "online": 300}.get(name, 30)


@pytest.mark.slow
def test_several_seeds_are_shown_by_their_medians_and_ranges(batchlab, capsys):
    assert batchlab("compare", *QUICK, "--seeds", "3", "--data.num_background", "100") == 0
    row, printed = table()["minibatch"], capsys.readouterr().out
    runs = [summarize(Path(f"runs/minibatch/version_{seed}"))["regret"] for seed in range(3)]
    assert [float(row[name]) for name in ("regret_min", "regret", "regret_max")] == sorted(runs)
    assert f"{sorted(runs)[1]:.4f} [{min(runs):.4f}, {max(runs):.4f}]" in printed
    assert [f"seed_everything: {seed}\n" in config_text(seed) for seed in range(3)] == [True] * 3


def config_text(seed):
    return Path(f"runs/minibatch/version_{seed}/config.yaml").read_text()


@pytest.mark.slow
def test_a_value_may_stand_beside_its_key_as_for_fit(batchlab):
    assert batchlab("compare", "--data.num_validation", "200", config("batch"), "--model.hidden", "8") == 0
    assert list(table()) == ["batch"]
    assert "hidden: 8" in Path("runs/batch/version_0/config.yaml").read_text()


def test_a_comparison_needs_a_seed(batchlab, capsys):
    assert batchlab("compare", "--seeds", "0") == 2
    assert "--seeds must be at least 1. Got 0" in capsys.readouterr().err


@pytest.mark.slow
def test_ratios_are_to_the_mini_batch_regime(batchlab):
    assert batchlab("compare", *QUICK) == 0
    rows = table()
    assert float(rows["minibatch"]["ratio"]) == 1
    assert float(rows["online"]["ratio"]) == pytest.approx(
        float(rows["online"]["epoch_sec"]) / float(rows["minibatch"]["epoch_sec"])
    )


@pytest.mark.slow
def test_given_configs_are_compared_instead(batchlab):
    Path("small.yaml").write_text("name: small\nmodel: {hidden: 8}\n")
    assert batchlab("compare", config("batch"), "small.yaml", *QUICK) == 0
    rows = table()
    assert list(rows) == ["batch", "small"]
    assert float(rows["batch"]["ratio"]) == 1


def test_a_run_without_validation_has_no_regret_to_show(batchlab):
    assert batchlab("compare", config("batch"), "--trainer.limit_val_batches=0") == 0
    assert table()["batch"]["regret"] == "nan"


@pytest.mark.slow
def test_the_picture_has_a_panel_for_each_run_and_one_for_the_exact_posterior(batchlab):
    assert batchlab("compare", *QUICK) == 0
    height, width, _ = imread(RESULT / "contours.png").shape
    assert width > 1.8 * height  # four columns, two rows


SPOILERS = {
    "trainer.fast_dev_run": "true",
    "trainer.logger": "false",
    "trainer.enable_checkpointing": "false",
    "trainer.devices": "2",
}


@pytest.mark.parametrize(("key", "value"), SPOILERS.items(), ids=SPOILERS)
def test_what_leaves_nothing_to_compare_is_refused_before_any_training(key, value, batchlab, capsys):
    assert batchlab("compare", f"--{key}={value}") == 2
    assert f"{key} must be left at its default" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_config_that_cannot_start_is_found_before_any_training(batchlab, capsys):
    Path("wrong.yaml").write_text("model: {depth: 0}\n")
    assert batchlab("compare", config("batch"), "wrong.yaml", *QUICK) == 2
    assert "depth must be at least 1" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_runs_folder_has_one_key(batchlab, capsys):
    assert batchlab("compare", "--trainer.default_root_dir=elsewhere") == 2
    assert "--runs" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_of_one_name_are_told_apart(batchlab):
    Path("one.yaml").write_text("name: same\ndata: {batch_size: 1100}\n")
    Path("two.yaml").write_text("name: same\ndata: {batch_size: 550}\n")
    assert batchlab("compare", "one.yaml", "two.yaml", *QUICK) == 0
    assert {name: row["steps"] for name, row in table().items()} == {"same/version_0": "1", "same/version_1": "2"}


@pytest.mark.slow
def test_each_mixture_has_an_answer_of_its_own(batchlab):
    Path("even.yaml").write_text("name: even\ndata: {batch_size: 1100, num_signal: 550, num_background: 550}\n")
    assert batchlab("compare", config("batch"), "even.yaml", *QUICK) == 0
    panels = _panels([Path("runs/batch/version_0"), Path("runs/even/version_0")])
    assert {title: int(panel.t.sum()) for title, panel in panels.items()} == {
        "batch": 100,
        "even": 550,
        "exact posterior of 100 : 1000": 100,
        "exact posterior of 550 : 550": 550,
    }


@pytest.mark.parametrize("words", REGIMES, ids=lambda words: words[0])
def test_the_built_in_regimes_are_the_shipped_configs(words):
    name = words[0].removeprefix("--name=")
    built_in, shipped = (APPLICATION.settings(given) for given in (words, ["--config", config(name)]))
    del shipped["config"], built_in["config"]
    assert built_in.as_dict() == shipped.as_dict()


def test_the_table_is_aligned():
    row = {
        "regime": "a",
        "steps": 1,
        "epoch_sec": 0.1,
        "ratio": 1.0,
        "printed_loss": 0.6771492958068848,
        "regret": 0.5,
        "auroc": 0.9,
        "average_precision": 0.4,
    }
    lines = as_text([row, row | {"regime": "longer name"}]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "0.6771492958068848" in lines[1]
