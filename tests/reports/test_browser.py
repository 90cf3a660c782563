"""The report as a person meets it: in a real headless Chromium, from `file://`, without a network.

Screenshots are kept where `CARS_BENCH_SCREENSHOTS` points, as test artifacts.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cars_bench.reports.compare_page import build_comparison
from cars_bench.reports.page import build_report
from cars_bench.workspace import Workspace
from tests.reports.workspaces import CLASSES, EVIL, make_workspace

pytestmark = pytest.mark.browser
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if BROWSER is None or DRIVER is None:
        pytest.skip("no chromium with its chromedriver is installed")
    options = selenium.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = selenium.ChromeService(executable_path=DRIVER)
    with selenium.Chrome(options=options, service=service) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    classes = (EVIL, *CLASSES)
    return build_report(make_workspace(tmp_path_factory.mktemp("browser"), classes=classes))


@pytest.fixture
def opened(driver: Any, page: Path) -> Any:
    driver.set_window_size(1280, 1000)
    driver.get(page.as_uri())
    driver.execute_async_script("document.getElementById('atlas').decode().then(arguments[0])")
    return driver


def _shown(driver: Any) -> list[str]:
    rows = "document.querySelectorAll('#trials tbody tr:not([hidden]) th')"
    return list(driver.execute_script(f"return [...{rows}].map(x => x.textContent)"))


def _find(driver: Any, selector: str) -> Any:
    element = driver.find_element("css selector", selector)
    driver.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
    )
    return element


def _move(driver: Any, element: Any, x: int, y: int) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver).move_to_element_with_offset(element, x, y).perform()


def test_nothing_fails_and_nothing_is_fetched(opened):
    assert opened.get_log("browser") == []
    loaded = opened.execute_script(
        "return performance.getEntriesByType('resource').map(x => x.name)"
    )
    assert all(name.startswith("data:") for name in loaded)


def test_hostile_names_stay_text(opened):
    assert opened.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert EVIL in opened.execute_script("return document.querySelector('main').textContent")


def test_a_heading_sorts_the_table_by_its_column(opened):
    _find(opened, "#trials thead th:nth-child(4) button").click()
    cells = (
        "return [...document.querySelectorAll('#trials td:nth-child(4)')].map(x => x.dataset.value)"
    )
    scores = [float(text) for text in opened.execute_script(cells) if text]
    assert scores == sorted(scores, reverse=True)
    _find(opened, "#trials thead th:nth-child(4) button").click()
    scores = [float(text) for text in opened.execute_script(cells) if text]
    assert scores == sorted(scores)


def test_words_filter_the_table(opened):
    _find(opened, "input[data-filter=trials]").send_keys("probe")
    assert len(_shown(opened)) == 3


def test_a_brush_filters_the_table_and_can_be_cleared(opened):
    before = len(_shown(opened))
    _find(opened, "#parallel .target").send_keys("\ue013")  # arrow up
    assert 0 < len(_shown(opened)) < before
    _find(opened, "#parallel button").click()
    assert len(_shown(opened)) == before


def test_dragging_along_an_axis_brushes_it(opened):
    from selenium.webdriver import ActionChains

    before = len(_shown(opened))
    axes = opened.find_elements("css selector", "#parallel .target")
    opened.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", axes[-1]
    )
    drag = ActionChains(opened).move_to_element_with_offset(axes[-1], 0, -80)
    drag.click_and_hold().move_by_offset(0, 60).release().perform()
    assert 0 < len(_shown(opened)) < before


def test_a_trial_opens_with_its_curve_and_spec_and_escape_closes_it(opened):
    _find(opened, "#trials .open button").click()
    dialog = opened.find_element("css selector", "dialog[open]")
    assert dialog.find_elements("css selector", "svg.trial-curve path")
    assert "learning_rate" in dialog.text
    dialog.send_keys("\ue00c")
    assert not opened.find_elements("css selector", "dialog[open]")


def test_pointing_at_the_map_shows_an_image(opened):
    canvas = _find(opened, "#map canvas")
    canvas.send_keys("\ue014")  # arrow right: the first point
    assert opened.find_element("css selector", "#map .card canvas").is_displayed()
    for offset in range(-200, 200, 20):
        _move(opened, canvas, offset, offset // 2)
    assert opened.find_element("css selector", "#map .card").text


def test_pointing_at_the_confusion_names_both_classes(opened):
    _move(opened, _find(opened, "#confusion canvas"), 5, 5)
    text = opened.find_element("css selector", "#confusion .card").text
    assert "True:" in text
    assert "Predicted:" in text


def test_the_theme_button_turns_the_page_dark(opened):
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = opened.execute_script(colour)
    opened.find_element("id", "theme").click()
    assert opened.execute_script(colour) != light


def test_tab_reaches_every_interactive_part(opened):
    from selenium.webdriver import ActionChains

    reached = set()
    for _ in range(220):
        ActionChains(opened).send_keys("\ue004").perform()
        place = "return document.activeElement.closest('[id]')?.id"
        reached.add(opened.execute_script(place))
    parts = {"theme", "map", "parallel", "trials", "confusion", "gallery", "near-duplicates"}
    assert parts <= reached


def test_without_scripts_the_page_reads_in_full(driver, page, tmp_path):
    bare = tmp_path / "bare.html"
    text = page.read_text("utf-8")
    start = text.rindex("<script>")
    bare.write_text(text[:start] + text[text.index("</script>", start) :], encoding="utf-8")
    driver.get(bare.as_uri())
    assert len(_shown(driver)) == 34
    hidden = (
        "return [...document.querySelectorAll('.needs-script')].every(x => x.offsetParent === null)"
    )
    assert driver.execute_script(hidden)


@pytest.fixture(scope="module")
def pages(page: Path) -> dict[str, Path]:
    """The report, the index and a comparison, by name."""
    workspace = Workspace(page.parents[2])
    shutil.copytree(workspace.studies / "drawn-tiny", workspace.studies / "another")
    compared = build_comparison(workspace, "drawn-tiny", "another")
    return {"report": page, "index": workspace.reports / "index.html", "compare": compared}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("desktop", 1280), ("phone", 390)])
@pytest.mark.parametrize("name", ["report", "index", "compare"])
def test_every_page_fits_its_window(driver, pages, tmp_path, name, device, width, theme):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        driver.get(pages[name].as_uri())
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        _keep_screenshot(driver, f"{name}-{device}-{theme}", tmp_path)
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert wide <= width
    assert (max(map(int, re.findall(r"\d+", colour)[:3])) < 80) == (theme == "dark")
    assert driver.get_log("browser") == []


def _keep_screenshot(driver: Any, name: str, otherwise: Path) -> None:
    """The whole page, not just the window."""
    folder = Path(os.environ.get("CARS_BENCH_SCREENSHOTS", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"captureBeyondViewport": True, "format": "png"}
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"]
    (folder / f"{name}.png").write_bytes(base64.b64decode(picture))
