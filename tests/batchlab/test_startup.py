import pytest
from processes import HEAVY, UNUSED_IN_FIT, modules_after

import batchlab


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import batchlab"],
        ["-m", "batchlab"],
        ["-m", "batchlab", "--version"],
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_imports_nothing_heavy(words):
    modules = modules_after(*words)
    assert "batchlab" in modules
    assert not HEAVY & modules


def test_the_events_need_numpy_alone():
    modules = modules_after("-c", "from batchlab import draw_events, posterior")
    assert "numpy" in modules
    assert not (HEAVY - {"numpy"}) & modules


@pytest.mark.parametrize("name", batchlab.__all__)
def test_each_exported_name_can_be_imported(name):
    assert getattr(batchlab, name).__name__ == name


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'batchlab' has no attribute 'nothing'"):
        _ = batchlab.nothing


@pytest.mark.slow
def test_a_fit_imports_nothing_that_it_does_not_use():
    assert not UNUSED_IN_FIT & modules_after("-m", "batchlab", "fit", "--data.num_validation=50")
