"""How runs are called."""

from dataclasses import replace
from pathlib import Path

import pytest
from engines import needs_compiled_engine
from example.cli import APPLICATION
from started import saved_config

FEW = ("--data.num_validation=50", "--data.num_test=50")
SMALL = ("--data.num_training=100",)


DEFAULTS = {key: value for key, value in APPLICATION.defaults.items() if key != "name"}
NAMELESS = replace(APPLICATION, defaults=DEFAULTS)


@pytest.fixture
def named():
    """Rehearses a fit of an application with names for some values; returns the name of its run."""
    from blockstep.cli.lightning_cli import Rehearsal

    application = replace(NAMELESS, run_names={"data.batch_size": {1: "online", 10: "minibatch"}})
    return lambda *words: Rehearsal(application, "fit", list(words)).run_name


@pytest.fixture
def nameless():
    """The command line of an application that names nothing."""
    return lambda *words: NAMELESS.main(list(words))


def folders():
    """The folders of runs."""
    return sorted(str(mark.parent.relative_to("runs")) for mark in Path("runs").glob("*/*/blockstep_run.txt"))


NAMES = {
    (): "minibatch",
    ("--data.batch_size=10",): "minibatch",
    ("--data.batch_size=1",): "online",
    ("--data.batch_size=32",): "batch_size_32",
    ("--model.optimizer=Adam",): "adam",
    ("--model.optimizer=torch.optim.Adam", "--model.optimizer.lr=0.01"): "adam-lr_0.01",
    ("--model.optimizer.lr=0.5",): "lr_0.5",
    ("--model.optimizer=SGD", "--model.optimizer.momentum=0.9", "--data.batch_size=1"): "online-momentum_0.9",
    ("--model.optimizer=Adam", "--model.optimizer.betas=[0.8,0.9]"): "adam-betas_0.8_0.9",
    ("--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=5"): "steplr-step_size_5",
    ("--data.shuffle=true",): "shuffle",
    ("--trainer.max_epochs=7", "--seed_everything=3", "--on_nan=ignore"): "minibatch",
    ("--name=mine", "--data.batch_size=32"): "mine",
    ("--name=null", "--data.batch_size=32"): "batch_size_32",
}


@pytest.mark.parametrize(("words", "name"), NAMES.items(), ids=NAMES.values())
def test_a_run_is_named_by_the_settings_of_model_and_data_that_differ(words, name, named):
    assert named(*words) == name


@needs_compiled_engine
def test_a_word_that_is_chosen_is_in_the_name(named):
    assert named("--model.engine=compiled", "--data.shuffle=true") == "compiled-shuffle"


def test_many_settings_make_a_name_of_eighty_letters_at_most(named):
    sizes = (f"--data.num_{which}={number}" for number, which in enumerate(("training", "validation", "test"), 50))
    words = ("--model.width=9", "--data.shuffle=true", "--data.block_size=3", "--data.seed=4", *sizes)
    assert named(*words) == "width_9-shuffle-block_size_3-num_training_50-num_validation_51-2_more"


def test_classes_of_another_project_are_in_the_name(named, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    classes = ("--model=foreign_classes.ThreeClasses", "--data=foreign_classes.ThirtyFeatures")
    assert named(*classes) == "threeclasses-thirtyfeatures"
    assert named(*classes, "--model.width=9") == "threeclasses-thirtyfeatures-width_9"


CONFIG = "name: mine\ndata: {batch_size: 32}\n"

OF_A_CONFIG = {
    ("--config=mine.yaml",): "mine",
    ("--config=mine.yaml", "--data.batch_size=32"): "mine",
    ("--config=mine.yaml", "--trainer.max_epochs=3"): "mine",
    ("--config=mine.yaml", "--data.batch_size=8"): "mine-batch_size_8",
    ("--config=mine.yaml", "--data.batch_size=1", "--model.optimizer=Adam"): "mine-online-adam",
    ("--model.width=3", "--config=mine.yaml"): "mine-width_3",
    ("--model.optimizer=Adam", "--config=mine.yaml"): "mine-adam",
    ("--config=other.yaml", "--config=mine.yaml"): "mine-width_5",
    ("--config=mine.yaml", "--config=other.yaml"): "mine-width_5",
    ("--config=mine.yaml", "--name=yours", "--data.batch_size=8"): "yours",
    ("--name=yours", "--config=mine.yaml"): "yours",
    ("--config=other.yaml",): "width_5",
}


@pytest.mark.parametrize(("words", "name"), OF_A_CONFIG.items(), ids=" ".join)
def test_the_name_of_a_config_holds_and_what_differs_from_it_is_appended(words, name, named):
    Path("mine.yaml").write_text(CONFIG)
    Path("other.yaml").write_text("model: {width: 5}\n")
    assert named(*words) == name


def test_without_any_names_a_run_with_the_defaults_is_called_run(nameless):
    assert nameless("fit", "--trainer.max_steps=1") == 0
    assert folders() == ["run/version_0"]


def test_an_application_may_have_one_name_for_all_runs(example):
    assert example("fit", *SMALL) == 0
    assert example("fit", "--config=runs/run/version_0/config.yaml") == 0
    assert folders() == ["run/version_0", "run/version_1"]
    assert saved_config()["name"] is None


def test_a_config_with_a_name_goes_before_the_one_name_of_an_application(example):
    Path("mine.yaml").write_text(CONFIG)
    assert example("fit", *SMALL, "--config=mine.yaml") == 0
    assert folders() == ["mine-num_training_100/version_0"]


def test_the_name_of_a_config_holds_if_its_class_needs_arguments_that_come_later(named, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    Path("line.yaml").write_text("name: line\nmodel: {class_path: foreign_classes.Line}\n")
    values = ("--data=foreign_classes.Values", "--data.rows=50")
    assert named(*values, "--config=line.yaml", "--model.inputs=1") == "line"


def test_runs_with_different_settings_lie_in_different_folders_and_repeated_ones_in_versions(nameless):
    for words in ((), ("--model.width=3",), ("--model.width=3", "--seed_everything=1")):
        assert nameless("fit", *SMALL, *words) == 0
    assert folders() == [
        "num_training_100/version_0",
        "width_3-num_training_100/version_0",
        "width_3-num_training_100/version_1",
    ]


@pytest.mark.parametrize("words", [(), ("--config=mine.yaml",)], ids=["made", "of a config"])
def test_the_saved_config_has_no_name_unless_one_was_given(words, nameless):
    Path("mine.yaml").write_text(CONFIG)
    assert nameless("fit", *SMALL, *words) == 0
    assert nameless("fit", *SMALL, *words, "--name=yours") == 0
    (made,) = (folder for folder in folders() if not folder.startswith("yours"))
    assert saved_config(Path("runs", made))["name"] is None
    assert saved_config(Path("runs/yours/version_0"))["name"] == "yours"


@pytest.mark.parametrize("name", ["yours", None])
def test_a_run_goes_on_whatever_name_is_given_and_keeps_its_own(name, nameless):
    own = () if name is None else (f"--name={name}",)
    assert nameless("fit", *SMALL, *own) == 0
    (folder,) = folders()
    assert nameless("fit", "--ckpt_path=last", "--trainer.max_epochs=2", "--name=other") == 0
    assert folders() == [folder]
    assert saved_config(Path("runs", folder))["name"] == name


def test_changes_of_a_run_that_goes_on_make_the_name_of_its_new_folder(nameless):
    more = ("--ckpt_path=last", "--trainer.max_epochs=2", "--data.batch_size=50", "--allow_changes=true")
    assert nameless("fit", *SMALL) == 0
    assert nameless("fit", *more) == 0
    assert folders() == ["batch_size_50-num_training_100/version_0", "num_training_100/version_0"]


# Configs by name


@pytest.fixture
def shipped(tmp_path):
    """An application's command line with a folder of configs that is not the current one."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "online.yaml").write_text("name: online\ndata: {batch_size: 1}\n")
    (tmp_path / "installed" / "wide.yaml").write_text("model: {width: 99}\n")
    application = replace(NAMELESS, configs=(tmp_path / "nowhere", tmp_path / "installed"))
    return lambda *words: application.main(list(words))


@pytest.mark.parametrize("words", [("--config", "online"), ("--config=online",), ("-c", "online")], ids=" ".join)
def test_a_shipped_config_is_found_from_any_folder(words, shipped, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shipped("fit", *words, *FEW, "--data.num_training=20", "--name=mine") == 0
    assert saved_config(Path("runs/mine/version_0"))["data"]["batch_size"] == 1


def test_a_file_goes_before_a_shipped_config_of_the_same_name(shipped):
    Path("online").write_text("data: {batch_size: 7}\n")
    assert shipped("fit", "--config=online", "--name=mine") == 0
    assert saved_config(Path("runs/mine/version_0"))["data"]["batch_size"] == 7


def test_a_missing_file_with_the_name_of_a_shipped_config_is_answered_by_that_name(shipped, capsys):
    assert shipped("fit", "--config=configs/online.yaml") == 2
    assert "Got 'configs/online.yaml' instead. Did you mean online?" in capsys.readouterr().err


def test_a_misspelt_file_is_answered_by_a_shipped_config(shipped, capsys):
    assert shipped("fit", "--config=onlin.yaml") == 2
    assert "Got 'onlin.yaml' instead. Did you mean online?" in capsys.readouterr().err


def test_an_unknown_config_is_refused_with_the_known_ones(shipped, capsys):
    assert shipped("fit", "--config=onlin") == 2
    assert capsys.readouterr().err == (
        "example: error: config must be a file, or one of online, wide. Got 'onlin' instead. Did you mean online?\n"
    )
