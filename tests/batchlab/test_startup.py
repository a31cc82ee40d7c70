import subprocess
import sys

import pytest

import batchlab

HEAVY = {"jsonargparse", "lightning", "matplotlib", "numpy", "scipy", "tensorboard", "torch", "torchmetrics", "yaml"}

# What a fit of the default config does not use and may be installed. Lightning and torchmetrics import more than is
# used here (torch._dynamo, matplotlib.pyplot), which this project cannot change.
UNUSED_IN_FIT = {"jax", "pandas", "scipy", "sklearn", "tensorboard.program"}


def modules_after(*words):
    """The modules that a process had imported at its end."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "words", [["-c", "import batchlab"], ["-m", "batchlab"], ["-m", "batchlab", "--version"]], ids=" ".join
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
