"""The report of a study, looked at in a real browser."""

import os
import shutil
import time
from pathlib import Path

import pytest
from study_for_reports import SIZES, drawn_study, with_pictures

from blockstep.study.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SCREENSHOTS = os.environ.get("TEST_SCREENSHOTS")
# No sandbox: CI runs as root. Nothing in the background, which would look for hosts that are not there.
SWITCHES = "headless=new no-sandbox disable-gpu no-first-run disable-background-networking disable-sync".split()  # noqa: SIM905

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a study with pictures, without a network."""
    folder = tmp_path_factory.mktemp("report")
    write_report(with_pictures(drawn_study()), folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; without one the test is skipped, except in `.ci/run`."""
    if not (BROWSER and DRIVER):
        assert not os.environ.get("TEST_BROWSER"), "chromium and chromium-driver must be installed here"
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def opened(browser, page, width):
    """Opens the page in a window of this width, all of it in sight."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    assert browser.execute_script("return window.innerWidth") == width


def sources(browser):
    """What the pictures of the player show."""
    return browser.execute_script("return [...document.querySelectorAll('.frames img')].map((image) => image.src)")


def move(browser, place):
    """Moves the slider, as a hand does."""
    browser.execute_script(
        "const slider = document.getElementById('events');"
        "slider.value = arguments[0]; slider.dispatchEvent(new Event('input'));",
        place,
    )


def keep(browser, page, name):
    """A screenshot of the whole page, as a product of the build."""
    if SCREENSHOTS:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        width = browser.execute_script("return window.innerWidth")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        Path(SCREENSHOTS).mkdir(exist_ok=True)
        browser.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut(browser, page, width):
    opened(browser, page, width)
    keep(browser, page, f"study_{width}")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    cut = """
        return [...document.querySelectorAll('img, p, h1, h2, li, button, input')].filter((element) => {
            const box = element.getBoundingClientRect();
            return box.left < 0 || box.right > window.innerWidth || element.scrollWidth > element.clientWidth + 1;
        }).map((element) => element.outerHTML.slice(0, 100))
    """
    assert browser.execute_script(cut) == []


def test_every_picture_is_shown_and_nothing_is_complained_of(browser, page):
    opened(browser, page, 1280)
    wide = "return [...document.images].map((image) => image.complete && image.naturalWidth)"
    assert len(browser.execute_script(wide)) > len(SIZES)
    assert all(browser.execute_script(wide))
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_slider_moves_every_picture(browser, page):
    opened(browser, page, 1280)
    last = sources(browser)
    move(browser, 0)
    first = sources(browser)
    assert len(last) == len(first) == len(SIZES)
    assert all(one != other for one, other in zip(first, last, strict=True))
    assert "1,100 events" in browser.find_element("id", "shown").text


def test_the_button_plays_the_pictures_to_the_end(browser, page):
    opened(browser, page, 400)
    last = sources(browser)
    button = browser.find_element("id", "play")
    button.click()
    assert button.text == "Pause"
    assert sources(browser) != last
    until = time.monotonic() + 30
    while button.text != "Play":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert sources(browser) == last
