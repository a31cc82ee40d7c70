"""What a notebook does: the example's `fit`, called from Python."""

from functools import partial
from pathlib import Path

import pytest
from example.cli import APPLICATION, main
from example.data import Points
from example.model import Classifier
from torch.optim import Adam

from blockstep.base.errors import BadInputError

QUICK = {"num_validation": 50, "batch_size": 100}


@pytest.fixture(autouse=True)
def _no_arguments_of_pytest(monkeypatch):
    monkeypatch.setattr("sys.argv", ["notebook"])


def test_a_fit_from_python_equals_one_from_the_command_line():
    run = APPLICATION.fit(data=QUICK, trainer={"max_epochs": 2})
    assert main(["fit", "--data.num_validation=50", "--data.batch_size=100", "--trainer.max_epochs=2"]) == 0
    tables = [Path(f"runs/run/version_{number}/metrics.csv").read_text() for number in (0, 1)]
    losses = [[line.split(",")[-1] for line in table.splitlines()] for table in tables]
    assert run.folder == Path("runs/run/version_0")
    assert losses[0] == losses[1]


def test_it_returns_the_trained_model_and_its_metrics_by_column():
    run = APPLICATION.fit(data=QUICK, trainer={"max_epochs": 2})
    assert isinstance(run.model, Classifier)
    assert len(run.metrics["step"]) == 2
    assert run.metrics["val/loss"][-1] < run.metrics["val/loss"][0]


def test_it_goes_on_with_the_last_run():
    APPLICATION.fit(data=QUICK)
    run = APPLICATION.fit(ckpt_path="last", trainer={"max_epochs": 3})
    assert run.folder == Path("runs/run/version_0")
    assert run.metrics["epoch"][-1] == 2


def test_classes_with_arguments_are_partials():
    settings = {"model": partial(Classifier, width=3, optimizer=partial(Adam, lr=0.01)), "data": Points}
    run = APPLICATION.fit(**settings, **{"data.num_validation": 50})
    assert run.model.network[0].out_features == 3
    assert type(run.model.optimizers(use_pl_optimizer=False)) is Adam


def test_bad_settings_are_one_error_and_leave_nothing():
    with pytest.raises(BadInputError, match="batch_size"):
        APPLICATION.fit(data={"batch_size": "many"})
    assert not Path("runs").exists()


def test_a_setting_that_no_config_can_hold_is_refused():
    with pytest.raises(BadInputError, match=r"trainer.callbacks must be a value that a config can hold.*Got object"):
        APPLICATION.fit(trainer={"callbacks": [object()]})


def test_a_run_shows_its_last_metrics():
    run = APPLICATION.fit(data=QUICK, trainer={"max_epochs": 7})
    first, names, *rows = repr(run).splitlines()
    assert first == "Classifier in runs/run/version_0"
    assert "val/loss" in names
    assert len(rows) == 5
