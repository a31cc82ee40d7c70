"""Each rule of docs/your-data.md about what a table contains."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from written import CLASSES, LAST, NUMBER, edited, rows_of_classes, rows_of_numbers, write

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.tables import TableDataModule

REFUSED = {
    "a missing value": (edited(7, "450.0,,cat"), "a value in column 'weight', row 7. Got none"),
    "a value that is not available": (edited(7, "450.0,NA,cat"), "column 'weight', row 7. Got none"),
    "a missing class": (edited(9, "450.0,4.0,"), "column 'kind', row 9. Got none"),
    "text in a column of numbers": (edited(8, "450.0,heavy,cat"), "number in column 'weight', row 8. Got 'heavy'"),
    "infinity": (edited(5, "inf,4.0,cat"), "a finite number in column 'length', row 5. Got inf"),
    "too few cells": (edited(4, "450.0,cat"), "3 cells in each row, as in its first line. Got 2 in row 4"),
    "too many cells": (edited(4, "450.0,4.0,cat,dog"), "3 cells in each row, as in its first line. Got 4 in row 4"),
    "text after an empty line": (edited(3, "\n450.0,heavy,cat"), "in column 'weight', row 3. Got 'heavy'"),
    "a class with one row": (
        edited(12, "450.0,4.0,cow"),
        "column 'kind', one for each of training, validation and test",
    ),
    "a class with one row, and its row": (edited(12, "450.0,4.0,cow"), "Got 1 of the class 'cow', row 12"),
    "numbers whose squares are infinite": (
        edited(2, "1e200,4.0,cat"),
        "numbers whose squares can be added up. Got larger ones in column 'length'",
    ),
    "no rows": ([], "must have rows. Got none"),
}


@pytest.mark.parametrize(("lines", "message"), REFUSED.values(), ids=REFUSED)
def test_a_table_is_refused_with_column_and_row(lines, message, example, capsys):
    write(*lines)
    assert example("fit", *CLASSES) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "the table 'table.csv' (data.path)" in said
    assert message in said
    assert not Path("runs").exists()


ARGUMENTS = {
    "the label as a feature": (("--data.features=[kind]",), "features must be columns other than the label 'kind'"),
    "a feature twice": (("--data.features=[length,length]",), "features must be columns other than the label 'kind'"),
    "no features": (("--data.features=[]",), "features must be columns other than the label 'kind'"),
    "no delimiter": (("--data.delimiter=",), "delimiter must be one character. Got '' instead."),
}


@pytest.mark.parametrize(("words", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_that_no_table_fits_are_refused(words, message, example, capsys):
    write(*rows_of_classes())
    assert example("fit", *CLASSES, *words) == 2
    assert message in capsys.readouterr().err


HEADERS = {
    "two columns of the same name": (
        "length,length,kind",
        "each column once. Got 'length' as column 1 and as column 2",
    ),
    "no label": ("length,weight,sort", "must have the column 'kind'. Got the columns ['length', 'weight', 'sort']"),
    "another delimiter": ("length;weight;kind", "Got the columns ['length;weight;kind']"),
}


@pytest.mark.parametrize(("header", "message"), HEADERS.values(), ids=HEADERS)
def test_a_first_line_is_refused_by_its_names(header, message, example, capsys):
    write(*rows_of_classes(), header=header)
    assert example("fit", *CLASSES) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_an_empty_file_is_refused(example, capsys):
    Path("table.csv").touch()
    assert example("fit", *CLASSES) == 2
    assert "must have a first line with the names of its columns. Got an empty file" in capsys.readouterr().err


def test_a_file_that_does_not_exist_is_named(example, capsys):
    assert example("fit", *CLASSES) == 2
    assert "data.path must be a CSV or Parquet file. Got 'table.csv' instead, which does not exist" in (
        capsys.readouterr().err
    )


def test_a_label_that_is_no_number_is_refused_with_its_row(example, capsys):
    write(*rows_of_numbers(10), "450.0,4.0,dear")
    assert example("fit", *NUMBER) == 2
    assert "a finite number in column 'kind', row 11. Got 'dear'" in capsys.readouterr().err


def test_a_constant_column_is_0_throughout_and_named(example, capsys):
    write(*(line.replace(",", ",7.1,", 1) for line in rows_of_classes()), header="length,legs,weight,kind")
    assert example("fit", *CLASSES, "--model.in_features=3") == 0
    assert "constant in the training rows, and 0 throughout: legs" in capsys.readouterr().out
    write("450.0,9000,4.0", "450.0,7.1,4.0", name="new.csv", header="length,legs,weight")
    assert example("predict", f"--ckpt_path={LAST}", "--data.path=new.csv") == 0
    other, same = (line.split(",")[3:] for line in Path("predictions.csv").read_text().splitlines()[1:])
    assert other == same


def test_a_fraction_is_taken_of_each_class_alike():
    write(*rows_of_classes(60))  # 20 dogs, 40 cats
    data = TableDataModule("table.csv", "kind", validation=0.25, test=0.25)
    data.setup("fit")
    assert [int((data.training.tensors[1] == number).sum()) for number in (0, 1)] == [20, 10]
    assert [int((data.val_dataloader().dataset.tensors[1] == number).sum()) for number in (0, 1)] == [10, 5]


def test_another_seed_draws_other_rows():
    write(*rows_of_classes())
    first, same, other = (TableDataModule("table.csv", "kind", seed=seed) for seed in (0, 0, 1))
    for data in (first, same, other):
        data.setup("fit")
    assert first.training.tensors[0].equal(same.training.tensors[0])
    assert not first.training.tensors[0].equal(other.training.tensors[0])


def test_training_validation_and_test_share_no_row_and_miss_none():
    write(*(f"{row},{row % 7},{'ab'[row % 2]}" for row in range(100)))
    data = TableDataModule("table.csv", "kind", validation=0.2, test=0.3)
    data.setup("fit")
    mean, deviation = data.learned.mean[0], data.learned.deviation[0]
    sets = data.training, data.val_dataloader().dataset, data.sources.read_part("test", data.learned)
    lengths = np.concatenate([rows.tensors[0][:, 0].numpy() * deviation + mean for rows in sets])
    assert sorted(lengths.round().astype(int)) == list(range(100))


def test_columns_are_standardised_by_the_training_rows_alone():
    write(*rows_of_classes())
    data = TableDataModule("table.csv", "kind")
    data.setup("fit")
    x = data.training.tensors[0].double().numpy()
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-6)
    assert not np.allclose(data.val_dataloader().dataset.tensors[0].double().numpy().mean(axis=0), 0, atol=1e-3)


def test_large_numbers_that_differ_little_are_told_apart():
    write(*(f"{1_790_000_000 + row},{row % 7},{'ab'[row % 2]}" for row in range(100)))  # times in seconds
    data = TableDataModule("table.csv", "kind", validation=0, test=0)
    data.setup("fit")
    assert len(set(data.training.tensors[0][:, 0].tolist())) == 100


@pytest.mark.parametrize(
    ("names", "order"), [(["10", "9", "-1"], ["-1", "9", "10"]), (["10", "9", "b"], ["10", "9", "b"])], ids=str
)
def test_classes_are_in_the_order_of_numbers_or_of_the_alphabet(names, order):
    write(*(f"{row},{row % 7},{names[row % 3]}" for row in range(30)))
    data = TableDataModule("table.csv", "kind")
    data.setup("fit")
    assert data.learned.classes == order


def test_validation_and_test_come_from_files(example):
    write(*rows_of_classes())
    for name, count in {"validation": 7, "test": 5}.items():
        write(*rows_of_classes(count), name=f"{name}.csv")
    assert example("fit", *CLASSES, "--data.validation=validation.csv", "--data.test=test.csv") == 0
    data = TableDataModule.load_from_checkpoint(LAST)
    assert [data.val_dataloader().rows, data.test_dataloader().rows] == [7, 5]


def test_a_class_that_training_lacks_is_refused_with_its_row(example, capsys):
    write(*rows_of_classes())
    write(*rows_of_classes(4), "450.0,4.0,cow", name="validation.csv")
    assert example("fit", *CLASSES, "--data.validation=validation.csv") == 2
    said = capsys.readouterr().err
    assert "the table 'validation.csv' (data.validation) must have a class of the training, ['cat', 'dog']" in said
    assert "in column 'kind'. Got 'cow' in row 5" in said


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.1), (float("nan"), 0)])
def test_fractions_that_leave_no_training_are_refused(validation, test):
    with pytest.raises(
        ValueError, match="validation and test must be files, or fractions from 0 to less than 1 in all"
    ):
        TableDataModule("table.csv", "kind", validation=validation, test=test)


def test_a_run_without_validation_and_test_is_trained(example, capsys):
    write(*rows_of_classes())
    assert example("fit", *CLASSES, "--data.validation=0", "--data.test=0") == 0
    assert "training data: 60 rows, 2 features, the label is 2 classes" in capsys.readouterr().out
    assert example("test", f"--ckpt_path={LAST}") == 2
    assert "data.test must be a fraction or a file. Got 0, which is none." in capsys.readouterr().err


def test_a_parquet_file_gives_the_rows_of_the_same_csv_file():
    write(*rows_of_classes())
    columns = [line.split(",") for line in rows_of_classes()]
    lengths, weights, kinds = zip(*columns, strict=True)
    table = pa.table({"length": map(float, lengths), "weight": map(float, weights), "kind": kinds})
    parquet.write_table(table, "table.parquet", row_group_size=17)
    one, other = (TableDataModule(f"table.{kind}", "kind") for kind in ("csv", "parquet"))
    for data in (one, other):
        data.setup("fit")
    assert all(map(lambda a, b: a.equal(b), one.training.tensors, other.training.tensors))


PARQUET = {
    "text": ({"length": ["a"], "kind": ["b"]}, "a number in column 'length', row 1. Got a column of type string"),
    "a null": ({"length": [1.0, None], "kind": ["b", "b"]}, "a value in column 'length', row 2. Got none"),
    "nan": (
        {"length": [1.0, float("nan")], "kind": ["b", "b"]},
        "column 'length', row 2. Got nan, which is not finite",
    ),
}


@pytest.mark.parametrize(("columns", "message"), PARQUET.values(), ids=PARQUET)
def test_a_parquet_file_is_refused_with_column_and_row(columns, message, example, capsys):
    parquet.write_table(pa.table(columns), "table.parquet")
    assert example("fit", *CLASSES, "--data.path=table.parquet", "--data.validation=0", "--data.test=0") == 2
    assert message in capsys.readouterr().err


def test_a_parquet_file_that_is_none_is_refused(example, capsys):
    Path("table.parquet").write_text("length,kind\n")
    assert example("fit", *CLASSES, "--data.path=table.parquet") == 2
    assert "the table 'table.parquet' (data.path) must be a Parquet file" in capsys.readouterr().err


def test_chosen_columns_are_read_and_others_are_not(example):
    write(*(f"Rex,{line}" for line in rows_of_classes()), header="name,length,weight,kind")
    assert example("fit", *CLASSES, "--data.features=[weight,length]") == 0
    assert read_checkpoint(Path(LAST))["TableDataModule"]["features"] == ["weight", "length"]


def test_cells_may_be_separated_by_semicolons(example):
    write(*(line.replace(",", ";") for line in rows_of_classes()), header="length;weight;kind")
    assert example("fit", *CLASSES, "--data.delimiter=;") == 0


def test_an_empty_line_and_a_quoted_line_break_are_no_rows():
    lines = [f'"{kind}\nof a kind",{row},{kind}\n' for row, kind in enumerate("abab")]
    write(*lines, header="note,length,kind")
    data = TableDataModule("table.csv", "kind", features=["length"], validation=0, test=0)
    data.setup("fit")
    assert len(data.training) == 4


def test_a_table_larger_than_a_piece_is_read_whole(monkeypatch):
    monkeypatch.setattr("blockstep.tables.files.BYTES_OF_PIECE", 100)
    write(*(f"{row},{row % 7},{'ab'[row % 2]}" for row in range(200)), "x,1,a")
    data = TableDataModule("table.csv", "kind", validation=0, test=0)
    with pytest.raises(Exception, match=r"column 'length', row 201\. Got 'x'"):
        data.setup("fit")
    write(*(f"{row},{row % 7},{'ab'[row % 2]}" for row in range(200)))
    data.setup("fit")
    assert (data.training.tensors[0][:, 0].diff() > 0).all()
    assert data.training.tensors[1].flatten().tolist() == [0, 1] * 100


def test_without_pyarrow_the_message_says_what_to_install(monkeypatch, example, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    write(*rows_of_classes())
    assert example("fit", *CLASSES) == 2
    assert "tables need pyarrow: install it" in capsys.readouterr().err
