"""The machinery has none of the lesson's words, and import paths that are written as text name what exists."""

import ast
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

SRC = Path(__file__).parents[1] / "src"
IMPORT_PATH = re.compile(r"(batchlab|blockstep)(\.\w+)+")
LESSON = ["batchlab", "BinaryClassifier", "ToyDataModule", "ContourReport"]
LESSON += ["regret", "posterior", "contour", "hidden", "num_signal", "x1"]


def import_paths():
    """The texts in the command lines that name a class or a function."""
    for path in [SRC / "blockstep" / "cli" / "application.py", *SRC.glob("*/cli.py")]:
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
        yield from filter(IMPORT_PATH.fullmatch, texts)


@pytest.mark.parametrize("word", LESSON)
def test_the_machinery_has_none_of_the_lessons_words(word):
    files = [path for path in (SRC / "blockstep").rglob("*") if path.suffix in (".py", ".h")]
    assert files
    assert [str(path) for path in files if re.search(rf"\b{word}\b", path.read_text("utf-8"))] == []


@pytest.mark.parametrize("path", sorted(set(import_paths())))
def test_an_import_path_that_is_written_as_text_names_something(path):
    resolve_name(path)
