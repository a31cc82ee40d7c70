"""Loggers that are given on the command line or in a config are added to the run's own."""

from pathlib import Path

import pytest

from blockstep.runs.csv_logger import read_rows

RUN = Path("runs/run/version_0")
QUICK = ("--data.num_validation=50", "--data.batch_size=100")
CSV = ("--trainer.logger=CSVLogger", "--trainer.logger.save_dir=mine", "--trainer.logger.name=")
WANDB = ("--trainer.logger=WandbLogger", "--trainer.logger.offline=true", "--trainer.logger.save_dir=mine")


def losses(table):
    return [float(row["val/loss"]) for row in read_rows(table) if row.get("val/loss")]


def test_another_logger_gets_what_the_runs_own_gets(example):
    assert example("fit", *QUICK, *CSV, "--trainer.max_epochs=3") == 0
    (table,) = Path("mine").rglob("metrics.csv")
    assert losses(table)[-3:] == losses(RUN / "metrics.csv")[-3:]


def test_a_run_with_another_logger_has_its_event_files_and_checkpoints(example):
    assert example("fit", *QUICK, *CSV) == 0
    assert list(RUN.glob("events.*"))
    assert (RUN / "checkpoints" / "best.ckpt").exists()


def test_a_list_of_loggers_in_a_config_is_added(example):
    Path("two.yaml").write_text(
        "trainer:\n  logger:\n"
        "  - class_path: CSVLogger\n    init_args: {save_dir: one}\n"
        "  - class_path: CSVLogger\n    init_args: {save_dir: two}\n"
    )
    assert example("fit", *QUICK, "--config=two.yaml") == 0
    found = [next(Path(folder).rglob("metrics.csv"), None) for folder in ("one", "two", "runs")]
    assert None not in found


def test_a_run_with_another_logger_goes_on(example):
    assert example("fit", *QUICK, *CSV) == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert len(losses(RUN / "metrics.csv")) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_keeps_a_run_offline(example):
    pytest.importorskip("wandb")
    assert example("fit", *QUICK, *WANDB) == 0
    (folder,) = Path("mine/wandb").glob("offline-run-*")
    assert list(folder.glob("run-*.wandb"))
    assert losses(RUN / "metrics.csv")
