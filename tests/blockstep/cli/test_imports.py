import pytest
from processes import HEAVY, UNUSED_IN_FIT, modules_after


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import blockstep.cli.application"],
        *(["-m", "example", *more] for more in ([], ["--help"], ["--version"])),
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_imports_nothing_heavy(words):
    modules = modules_after(*words)
    assert "blockstep.cli.application" in modules
    assert not HEAVY & modules


@pytest.mark.slow
def test_a_fit_imports_nothing_that_it_does_not_use():
    assert not UNUSED_IN_FIT & modules_after("-m", "example", "fit", "--data.num_validation=50")
