"""batchlab view, looked at in a real browser."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from processes import address_in, server_in, views_of
from shipped import ROOT

from batchlab.charts import CHARTS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SCREENSHOTS = Path(os.environ.get("TEST_SCREENSHOTS", ROOT / "screenshots"))
# No sandbox: CI runs as root. Nothing in the background, which would look for hosts that are not there.
SWITCHES = """
    headless=new no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update disable-sync
    window-size=1600,1200
""".split()  # noqa: SIM905 - one switch a line is less readable


@pytest.fixture
def served():
    """Starts batchlab view; at the end, stops what was started."""
    with views_of("batchlab") as serve:
        yield serve


@pytest.fixture
def browser():
    """Debian's Chromium; without one the test is skipped, except in `.ci/run`."""
    if not (BROWSER and DRIVER):
        assert not os.environ.get("TEST_BROWSER"), "chromium and chromium-driver must be installed here"
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """One tab of TensorBoard."""

    def __init__(self, browser, address, tab):
        self.browser = browser
        browser.get("about:blank")  # another tab of the same page would not be loaded anew
        browser.get(address if "#" in address else f"{address}#{tab}")

    def wait_for(self, *texts, seconds=60):
        """Waits until the page shows all the texts."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            shown = self.browser.find_element("tag name", "body").text
            if all(text in shown for text in texts):
                return shown
            time.sleep(0.3)
        raise AssertionError(f"{[text for text in texts if text not in shown]} not in: {shown[:3000]}")

    def wait_until(self, happens, seconds=60):
        """Waits until something is the case."""
        until = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < until
            time.sleep(0.3)

    def elements(self, selector, wanted):
        """A JavaScript expression of each `element` of the page that the selector finds, within shadow roots too."""
        script = """
            const found = [];
            const look = (root) => {
                for (const element of root.querySelectorAll('*')) {
                    if (element.matches(arguments[0])) found.push(element);
                    if (element.shadowRoot) look(element.shadowRoot);
                }
            };
            look(document);
            return found.map((element) => WANTED);
        """
        return self.browser.execute_script(script.replace("WANTED", wanted), selector)

    def keep(self, name):
        """A screenshot, as a product of the build."""
        SCREENSHOTS.mkdir(exist_ok=True)
        time.sleep(2)  # charts are drawn with a little animation
        self.browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@pytest.mark.slow
def test_three_runs_are_seen_side_by_side_in_a_real_browser(served, browser, batchlab):
    for name, size in (("batch", "null"), ("online", "1"), ("minibatch", "10")):
        words = (f"--name={name}", f"--data.batch_size={size}", "--trainer.max_epochs=5")
        assert batchlab("fit", *words) == 0
    names = [f"{name}/version_0" for name in ("batch", "minibatch", "online")]
    _, line = served()
    address = server_in(line)

    first = Page(browser, address_in(line), "timeseries")
    first.wait_for("Pinned", *names)
    first.wait_until(lambda: len(first.elements("scalar-card", "1")) >= len(CHARTS.pinned))
    cards = first.elements("scalar-card", "[element.getBoundingClientRect().bottom, element.innerText]")
    for (bottom, card), tag in zip(cards, CHARTS.pinned, strict=False):  # seen without touching anything
        assert "".join(card.split()).startswith(tag)
        assert bottom < browser.execute_script("return window.innerHeight")
        for run in names:  # the table below the chart has a row for each: value, events seen
            assert re.search(rf"{run}\s+\d\.\d+\s+5,500", card)
    first.keep("first_view")

    plain = Page(browser, address, "timeseries")
    plain.wait_until(lambda: len(plain.elements("image-card", "1")) >= 4)
    cards = ["".join(card.split()) for card in plain.elements("image-card", "element.innerText")]
    for card, run in zip(sorted(cards[:3]), names, strict=True):
        assert card.startswith(f"decision/contour{run}")
    assert [card[: len("decision/exact_posterior")] for card in cards[3:]] == ["decision/exact_posterior"]
    plain.keep("timeseries")

    images = Page(browser, address, "images")
    images.wait_for("decision/contour", *names)
    where = "[element.tag, element.run, element.shadowRoot.querySelector('img')?.naturalWidth, {}]"
    loaded = where.format("element.getBoundingClientRect().top")
    images.wait_until(lambda: all(card[2] for card in images.elements("tf-image-loader", loaded)))
    cards = [card for card in images.elements("tf-image-loader", loaded) if card[0] == "decision/contour"]
    assert [card[1:3] for card in cards] == [[run, 600] for run in names]
    assert len({card[3] for card in cards}) == 1  # side by side
    images.keep("images")

    table = Page(browser, address, "hparams")
    table.wait_for("batch size", "learning rate", "val/best_regret", *names)
    shown = re.sub(r"\s+", " ", table.wait_for("SGD"))
    for run, size in zip(names, ("1100", "10", "1"), strict=True):
        assert re.search(rf"{run} {size} 5 0.010000 SGD 0 0\.\d+", shown)
    table.keep("hparams")

    grouped = Page(browser, address_in(line), "timeseries")
    grouped.wait_for("Pinned", *names)
    (tab,) = [tab for tab in browser.find_elements("css selector", "[role=tab]") if tab.text == "CUSTOM SCALARS"]
    tab.click()
    grouped.wait_until(lambda: grouped.elements("tf-smoothing-input", "element.weight") == [0])
    grouped.wait_for("quality", "regret", "loss", "time", *names)
    grouped.wait_until(lambda: grouped.elements("tf-custom-scalar-multi-line-chart-card", "1"))
    shown = grouped.wait_for("Matches (3)", "Matches (6)")
    charts = sum(len(group) for group in CHARTS.groups.values())
    assert len(re.findall(r"Matches \([36]\)", shown)) == charts  # one curve or two of each run
    grouped.keep("custom_scalars")

    about = Page(browser, address, "text")
    about.wait_for("Online learning: 1,100 training events in batches of 1")
    about.keep("text")
