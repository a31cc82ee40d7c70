from pathlib import Path

import pytest
from bare_classes import Net, Rows
from started import LAST, saved_config

from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO, read_checkpoint
from blockstep.cli.application import Application

WORDS = ("--model.width=8", "--data.rows=50")
CLASSES = {
    "without save_hyperparameters": ("foreign_classes.ThreeClasses", "foreign_classes.ThirtyFeatures"),
    "with **kwargs": ("bare_classes.Net", "bare_classes.Rows"),
}


def command_line(model, data):
    """The command line of an application with these classes."""
    defaults = {"name": "run", "trainer.accelerator": "cpu", "trainer.max_epochs": 1}
    return Application("mine", model, data, defaults=defaults)


@pytest.fixture(params=CLASSES.values(), ids=CLASSES)
def run(request):
    """An application whose classes save no hyperparameters, and which has trained once."""
    application = command_line(*request.param)
    assert application.main(["fit", *WORDS]) == 0
    return lambda *words: application.main(words)


def test_a_run_of_classes_that_save_nothing_goes_on(run):
    assert run("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert read_checkpoint(Path(LAST))["epoch"] == 2


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_checkpoint_of_classes_that_save_nothing_is_evaluated_wherever_it_lies(command, run):
    Path(LAST).rename("moved.ckpt")
    assert run(command, "--ckpt_path=moved.ckpt") == 0
    if command == "predict":
        assert len(Path("predictions.csv").read_text().splitlines()) == 1 + 50


def test_a_new_run_from_a_checkpoint_of_classes_that_save_nothing_has_its_settings(run):
    Path(LAST).rename("moved.ckpt")
    assert run("fit", "--ckpt_path=moved.ckpt", "--trainer.max_epochs=2") == 0
    config = saved_config(Path("runs/run/version_1"))
    assert (config["model"]["width"], config["data"]["rows"]) == (8, 50)


def test_settings_on_the_command_line_replace_those_of_the_checkpoint(run):
    assert run("predict", f"--ckpt_path={LAST}", "--data.rows=20") == 0
    assert len(Path("predictions.csv").read_text().splitlines()) == 1 + 20


@pytest.fixture
def bare():
    """The checkpoint of a run of the classes with any keyword arguments."""
    assert command_line(*CLASSES["with **kwargs"]).main(["fit", *WORDS]) == 0
    return read_checkpoint(Path(LAST))


def loaded(content):
    """The width of the model, and the number of rows, that Python loads from a checkpoint."""
    ChecksummedCheckpointIO().save_checkpoint(content, "changed.ckpt")
    return Net.load_from_checkpoint("changed.ckpt").net[0].out_features, len(
        Rows.load_from_checkpoint("changed.ckpt").dataset
    )


def test_python_loads_classes_that_save_nothing(bare):
    assert loaded(bare) == (8, 50)


@pytest.mark.parametrize("where", ["hyper_parameters", "datamodule_hyper_parameters"])
def test_a_class_with_any_keyword_arguments_gets_those_that_its_help_shows(where, bare):
    bare[where] = {"more": 1, "strict": False}
    assert loaded(bare) == (8, 50)
    assert command_line(*CLASSES["with **kwargs"]).main(["test", "--ckpt_path=changed.ckpt"]) == 0


LIGHTNING = {
    "hparams": {"width": 3},
    "module_arguments": {"width": 3},
    "hparams_name": "width",
    "hparams_type": "width",
}


@pytest.mark.parametrize("key", LIGHTNING)
def test_keys_in_which_lightning_would_look_for_more_hyperparameters_are_ignored(key, bare):
    assert loaded(bare | {key: LIGHTNING[key]}) == (8, 50)


@pytest.mark.parametrize(
    "settings", [{"model": {}}, {"model": {}, "data": 3}, {"model": {"width": {"class_path": "x"}}, "data": {}}]
)
def test_settings_that_are_not_data_are_refused(settings, bare, capsys):
    bare["blockstep"]["settings"] = settings
    ChecksummedCheckpointIO().save_checkpoint(bare, "changed.ckpt")
    assert command_line(*CLASSES["with **kwargs"]).main(["test", "--ckpt_path=changed.ckpt"]) == 2
    assert "ckpt_path must be a checkpoint that blockstep wrote" in capsys.readouterr().err
