from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from small_net import Data, Net

from blockstep.base import timed_logger
from blockstep.base.errors import BadInputError
from blockstep.runs.csv_logger import MetricsTable, read_rows

FOLDER = Path("runs/mine/version_3")
FILE = FOLDER / "metrics.csv"


def written(*rows, resume_step=None):
    """The text of a table after rows were logged, each written at once."""
    table = MetricsTable(FOLDER, resume_step)
    for step, metrics in rows:
        table.log_metrics(metrics, step)
        table.write()
    return FILE.read_text()


def test_the_table_has_a_row_for_each_step():
    assert written((9, {"a": 0.5}), (19, {"a": 2})) == "step,a\n9,0.5\n19,2.0\n"


def test_values_of_the_same_step_share_its_row():
    assert written((9, {"a": 1, "b": 2}), (19, {"a": 3}), (19, {"b": 4})) == "step,a,b\n9,1.0,2.0\n19,3.0,4.0\n"


def test_a_new_metric_of_a_step_that_was_written_is_added_to_its_row():
    assert written((9, {"a": 1}), (9, {"b": 2}), (19, {"a": 3})) == "step,a,b\n9,1.0,2.0\n19,3.0,\n"


def test_the_later_of_two_values_of_a_step_is_kept_though_it_is_shorter():
    assert written((9, {"a": 0.123}), (9, {"a": 1})) == "step,a\n9,1.0\n"


def test_what_a_killed_run_had_logged_of_its_last_step_is_logged_again_in_the_same_row():
    written((9, {"a": 1}), (19, {"a": 2}))
    assert written((19, {"a": 2, "b": 3}), resume_step=20) == "step,a,b\n9,1.0,\n19,2.0,3.0\n"


def test_a_call_without_a_step_counts_as_step_0():
    assert written((None, {"a": 0.5})) == "step,a\n0,0.5\n"


def test_a_new_metric_adds_a_column_that_is_empty_in_earlier_rows():
    rows = [(9, {"b": 1}), (19, {"a": 2, "b": 3}), (29, {"a": 4})]
    assert written(*rows) == "step,b,a\n9,1.0,\n19,3.0,2.0\n29,,4.0\n"


def test_infinite_and_undefined_values_are_written_as_words():
    assert written((0, {"a": float("inf"), "b": float("nan")})) == "step,a,b\n0,inf,nan\n"


def test_a_new_run_replaces_the_table_of_an_old_one():
    written((9, {"a": 1}))
    assert written((9, {"b": 2})) == "step,b\n9,2.0\n"


def test_a_resumed_run_keeps_the_rows_before_its_step_alone():
    written((9, {"a": 1}), (19, {"a": 2}), (29, {"a": 3}))
    assert written((19, {"a": 4}), resume_step=19) == "step,a\n9,1.0\n19,4.0\n"


def test_a_resumed_run_keeps_the_values_as_they_were_written():
    before = written((9, {"a": 0.1 + 0.2, "b": 1}), (19, {"b": 2}))
    assert written((29, {"b": 3}), resume_step=20) == f"{before}29,,3.0\n"


class Reader(Callback):
    """Reads the table before training starts."""

    def setup(self, trainer, pl_module, stage):
        self.text = FILE.read_text()


@pytest.mark.filterwarnings("ignore")
def test_until_a_resumed_run_writes_its_table_the_old_one_is_there_so_that_a_kill_cannot_lose_it():
    before = written((9, {"a": 1}), (19, {"a": 2}))
    reader = Reader()
    quick = {"max_epochs": 1, "limit_val_batches": 0, "enable_checkpointing": False, "accelerator": "cpu", "devices": 1}
    quick |= {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 5}
    Trainer(logger=MetricsTable(FOLDER, 15), callbacks=[reader], **quick).fit(Net(), Data())
    assert reader.text == before


def test_a_run_can_be_resumed_without_a_table():
    assert written((9, {"a": 1}), resume_step=5) == "step,a\n9,1.0\n"


def test_an_unfinished_last_line_is_not_read():
    written((9, {"a": 1}), (19, {"a": 2}))
    FILE.write_text(FILE.read_text() + "29,3")
    assert read_rows(FILE) == [{"step": "9", "a": "1.0"}, {"step": "19", "a": "2.0"}]


def test_an_unfinished_last_line_is_left_out_when_a_run_is_resumed():
    written((9, {"a": 1}))
    FILE.write_text(FILE.read_text() + "1")
    assert written((19, {"a": 2}), resume_step=15) == "step,a\n9,1.0\n19,2.0\n"


NO_TABLE = {
    "a NUL byte": (b"step,a\n9,1.0\n\0\0\0\n", "line 3 is no row"),
    "a NUL byte in a value": (b"step,a\n9,1.\0\n", "line 2 is no row"),
    "no text": (b"step,a\n9,\xff\n", "can't decode"),
    "no step": (b"a,b\n1,2\n", "line 2 is no row"),
    "a step that is no number": (b"step,a\n9,1.0\nnine,1.0\n", "line 3 is no row"),
    "a value too many": (b"step,a\n9,1.0,2.0\n", "line 2 is no row"),
    "a value without an end": (b'step,a\n9,"' + b"x" * 200_000 + b"\n", "field larger"),
}


@pytest.mark.parametrize(("content", "why"), NO_TABLE.values(), ids=NO_TABLE)
def test_a_resumed_run_names_a_file_that_is_no_table(content, why):
    FOLDER.mkdir(parents=True)
    FILE.write_bytes(content)
    with pytest.raises(BadInputError, match=f"{FILE} must be the table that its run has written.*{why}"):
        MetricsTable(FOLDER, 10)


def test_a_run_whose_table_was_damaged_is_refused_and_left_as_it_is(example, capsys):
    assert example("fit", "--data.num_validation=50") == 0
    table = Path("runs/run/version_0/metrics.csv")
    table.write_bytes(table.read_bytes().replace(b"0", b"\0"))
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 2
    assert f"{table} must be the table" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")} == before


def test_without_a_file_there_are_no_rows():
    assert read_rows(FILE) == []


def test_hyperparameters_are_not_written():
    table = MetricsTable(FOLDER)
    table.log_hyperparams({"a": 1})
    assert list(Path().iterdir()) == []


def test_a_resumed_run_that_fails_before_it_logs_anything_leaves_the_table_as_it_is():
    before = written((9, {"a": 1}), (19, {"a": 2}))
    MetricsTable(FOLDER, resume_step=15).finalize("failed")
    assert FILE.read_text() == before


def test_a_table_is_written_again_only_after_the_time_between_two_writes(monkeypatch):
    monkeypatch.setattr(timed_logger, "SECONDS_BETWEEN_WRITES", 3600)
    table = MetricsTable(FOLDER)
    table.write()
    table.log_metrics({"a": 1}, 9)
    table.save()
    assert read_rows(FILE) == []
    monkeypatch.setattr(timed_logger, "SECONDS_BETWEEN_WRITES", -1)
    table.save()
    assert len(read_rows(FILE)) == 1


def test_what_is_left_is_written_at_the_end():
    table = MetricsTable(FOLDER)
    table.log_metrics({"a": 1}, 9)
    table.finalize("success")
    assert len(read_rows(FILE)) == 1


def test_a_fit_leaves_a_row_for_each_epoch(example):
    assert example("fit", "--data.num_validation=50", "--trainer.max_epochs=3", "--name=mine") == 0
    rows = read_rows(Path("runs/mine/version_0/metrics.csv"))
    assert [(row["step"], float(row["epoch"])) for row in rows] == [("109", 0), ("219", 1), ("329", 2)]
    assert all(value for row in rows for value in row.values())


def test_a_fit_of_an_ordinary_module_leaves_a_row_for_each_step_that_was_logged(example):
    words = ("--data.block_size=1", "--data.num_validation=50", "--trainer.max_epochs=2", "--name=mine")
    assert (
        example(
            "fit",
            *words,
            "--trainer.callbacks+=LearningRateMonitor",
            "--model.lr_scheduler=ExponentialLR",
            "--model.lr_scheduler.gamma=0.9",
        )
        == 0
    )
    steps = [int(row["step"]) for row in read_rows(Path("runs/mine/version_0/metrics.csv"))]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("folder", [FOLDER, FOLDER.absolute()], ids=["relative", "absolute"])
def test_a_table_knows_its_run(folder):
    table = MetricsTable(folder)
    assert (table.name, table.version, Path(table.log_dir)) == ("mine", "version_3", folder)
