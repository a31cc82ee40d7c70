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
