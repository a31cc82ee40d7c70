"""What README says about the lesson, beside what the lesson gives."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shipped import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from batchlab import plots
from batchlab.charts import DESCRIPTIONS
from batchlab.data import ToyDataModule
from batchlab.epoch_report import mesh_probabilities
from batchlab.model import BinaryClassifier
from batchlab.toy import posterior


def readme_lesson():
    """README's section about the three regimes."""
    return re.search(r"\n## The lesson\n.*?\n## ", (ROOT / "README.md").read_text(), re.DOTALL)[0]


@pytest.mark.slow
def test_the_lines_for_a_notebook_train():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (lines,) = (block for block in blocks if "import fit" in block)
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=120)
    assert "BinaryClassifier in runs/online/version_0" in done.stdout


def rows_of_table(text):
    """The rows of compare's table, by regime."""
    header, *lines = re.search(r" *regime +steps[^`]*", text)[0].strip().splitlines()
    return {line.split()[0]: dict(zip(header.split(), line.split(), strict=True)) for line in lines}


@pytest.mark.slow
def test_the_lessons_table_is_what_compare_prints(batchlab, capsys):
    assert batchlab("compare") == 0
    printed, shown = rows_of_table(capsys.readouterr().out.partition("table and")[0]), rows_of_table(readme_lesson())
    assert printed.keys() == shown.keys()
    for regime, row in shown.items():
        for column in ("steps", "printed_loss", "regret", "auroc", "average_precision"):
            assert float(printed[regime][column]) == pytest.approx(float(row[column]), rel=2e-3)


def test_the_numbers_beside_the_lessons_table_are_those_of_its_networks(batchlab):
    text = " ".join(readme_lesson().split())
    for size, words in (("null", r"own levels, from (\S+) to (\S+),"), ("10", r"still lie between (\S+) and (\S+);")):
        assert batchlab("fit", "--name=one", f"--data.batch_size={size}") == 0
        (path,) = Path("runs/one").rglob("last.ckpt")
        probabilities = mesh_probabilities(BinaryClassifier.load_from_checkpoint(path))
        shown = [float(number) for number in re.search(words, text).groups()]
        assert [probabilities.min(), probabilities.max()] == pytest.approx(shown, abs=1e-3)
        if size == "10":  # its peak is by the signal
            assert np.linalg.norm(plots.mesh()[probabilities.argmax()] - (1, 0)) < 2
        shutil.rmtree("runs")


def test_the_regret_before_the_first_step_is_the_one_that_is_named(batchlab):
    (shown,) = re.findall(r"regret was (\S+) before the step", " ".join(readme_lesson().split()))
    assert batchlab("fit", "--config=batch", "--name=one") == 0
    first = EventAccumulator("runs/one/version_0").Reload().Scalars("val/regret")[0]
    assert (first.step, first.value) == (0, pytest.approx(float(shown), abs=1e-4))


def test_the_loss_of_the_exact_posterior_is_the_one_that_is_named():
    cells = (np.arange(-5, 5, 0.02) + 0.01).repeat(2).reshape(-1, 2)  # a fine grid, and signal's density on it
    x = np.stack(np.meshgrid(cells[:, 0], cells[:, 1]), axis=-1).reshape(-1, 2)
    signal = np.exp(-((x - (1, 0)) ** 2).sum(axis=1) / 2) / (2 * np.pi)
    p = posterior(x)[:, 0]
    events = (100 * signal + 1000 / 100) / 1100
    loss = -(events * (p * np.log(p) + (1 - p) * np.log(1 - p))).sum() * 0.02**2
    assert f"the {loss:.3f} that the exact posterior reaches on average" in " ".join(readme_lesson().split())


def test_the_loss_of_the_exact_posterior_on_the_validation_events_is_the_one_of_the_charts_description():
    data = ToyDataModule()
    data.setup("validate")
    x, t = (tensor.numpy() for tensor in data.validation.tensors[:2])
    p = posterior(x)
    assert f"is {-np.log(np.where(t > 0, p, 1 - p)).mean():.3f} for the default ones" in DESCRIPTIONS["val/loss"]


@pytest.mark.slow
def test_the_better_recipe_gets_as_far_as_is_said(batchlab, capsys):
    assert batchlab("fit", "--config=converged") == 0
    best = float(re.search(r"val/regret: best (\S+) in epoch", capsys.readouterr().out)[1])
    (shown,) = re.findall(r"with a better recipe: (\d\.\d+)\.", " ".join(readme_lesson().split()))
    assert best == pytest.approx(float(shown), abs=5e-4)


def test_the_times_of_a_step_follow_from_the_lessons_table():
    text, table = readme_lesson(), rows_of_table(readme_lesson())
    for regime in ("online", "minibatch"):
        seconds, steps = table[regime]["epoch_sec"], table[regime]["steps"]
        assert f"({seconds} s / {steps} = {1000 * float(seconds) / int(steps):.2f} ms)" in " ".join(text.split())
    assert f"curve is {float(table['minibatch']['auroc']):.2f}" in " ".join(text.split())


def test_the_sentences_about_the_regimes_agree_with_the_lessons_table():
    text, table = readme_lesson(), rows_of_table(readme_lesson())
    sentences = {
        "batch": re.search(r"- \*\*Batch learning.*?\n- ", text, re.DOTALL)[0],
        "online": re.search(r"- \*\*Online learning.*?\n- ", text, re.DOTALL)[0],
        "minibatch": re.search(r"- \*\*Mini-batch learning.*?\n\n", text, re.DOTALL)[0],
    }
    for regime, said in sentences.items():
        assert table[regime]["regret"] in said
        assert table[regime]["epoch_sec"] in said
    assert table["online"]["ratio"] in sentences["online"]
    regimes = [table[regime]["regret"] for regime in ("batch", "online", "minibatch")]
    assert "their regrets are {}, {} and {}, where".format(*regimes) in " ".join(text.split())
    regrets = [float(table[regime]["regret"]) for regime in ("batch", "minibatch", "online")]
    assert regrets == sorted(regrets, reverse=True)  # mini-batch learning stands between
