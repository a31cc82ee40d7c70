import re
import subprocess
import sys

import pytest
from shipped import ROOT


def python_blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_recipe_for_another_model_and_loss_trains_it():
    (recipe,) = python_blocks("docs/blocks.md")
    done = subprocess.run([sys.executable, "-c", recipe], capture_output=True, text=True, check=True, timeout=120)
    steps, loss = re.search(r"(\d+) steps, loss ([\d.]+)", done.stdout).groups()
    assert int(steps) == 2000
    assert float(loss) < 0.01


def test_every_link_of_the_pages_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
    assert links
    assert [str(link) for page, link in links if not (page.parent / link).exists()] == []


# batchlab new leaves this out:
@pytest.mark.slow
def test_the_lines_for_a_notebook_train():
    (lines,) = (block for block in python_blocks("README.md") if "import fit" in block)
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
    regrets = [float(table[regime]["regret"]) for regime in ("batch", "minibatch", "online")]
    assert regrets == sorted(regrets, reverse=True)  # mini-batch learning stands between


def readme_lesson():
    """README's section about the three regimes."""
    return re.search(r"\n## The lesson\n.*?\n## ", (ROOT / "README.md").read_text(), re.DOTALL)[0]


# until here
