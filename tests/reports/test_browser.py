"""The report as a person meets it: in a real headless Chromium, from `file://`, without a network.

Screenshots are kept where `CARS_BENCH_SCREENSHOTS` points, as test artifacts.
"""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.reports.browser import seen_at
from tests.reports.workspaces import CLASSES, EVIL

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(driver: Any, written: dict[str, Path]) -> Any:
    driver.set_window_size(1280, 1000)
    driver.get(written["report"].as_uri())
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
    assert not dialog.find_elements("css selector", "pre")
    terms = [term.text for term in dialog.find_elements("css selector", "dt")]
    assert {"learning_rate", "Normalisation of the features", "Optimizer", "Epochs"} <= set(terms)
    assert "{" not in dialog.text
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


def test_the_confusion_is_laid_out_anew_when_another_order_is_chosen(opened):
    drawn = "return document.querySelector('#confusion canvas').toDataURL()"
    by_make = opened.execute_script(drawn)
    opened.find_element("css selector", '#confusion option[value="confused"]').click()
    assert opened.execute_script(drawn) != by_make
    _move(opened, _find(opened, "#confusion canvas"), 5, 5)
    assert "True:" in opened.find_element("css selector", "#confusion .card").text


@pytest.mark.parametrize("name", ["gallery", "pairs", "near-duplicates", "suspects"])
def test_a_file_is_found_by_its_name_and_its_path_is_copied(opened, name):
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    opened.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    own = " .wrong" if name == "pairs" else ""  # the others of a pair stand in several
    button = _find(opened, f"#{name}{own} button.file")
    path = button.get_attribute("title").removeprefix("Copy ")
    _find(opened, f"#{name} input[type=search]").send_keys(button.text)
    cards = opened.find_elements("css selector", f"#{name} [data-number]")
    assert 0 < sum(card.is_displayed() for card in cards) < len(cards)
    button.click()
    assert _note(opened) == f"Copied {path}"
    read = "navigator.clipboard.readText().then(arguments[0])"
    assert opened.execute_async_script(read) == path


def test_where_the_clipboard_is_refused_the_path_is_selected_to_copy_by_hand(opened):
    opened.execute_script(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));"
        "document.execCommand = () => false;"
    )
    button = _find(opened, "#gallery button.file")
    button.click()
    path = button.get_attribute("title").removeprefix("Copy ")
    assert _note(opened) == f"Selected, copy it with the keyboard: {path}"
    assert opened.execute_script("return getSelection().toString()") == path


def test_the_file_names_of_a_gallery_are_one_stop_of_the_tab_key(opened):
    first, second = opened.find_elements("css selector", "#gallery button.file")[:2]
    opened.execute_script("arguments[0].focus()", first)
    first.send_keys("\ue014")  # arrow right
    assert opened.switch_to.active_element == second
    second.send_keys("\ue004")  # tab
    inside = "return document.activeElement.closest('#gallery') !== null"
    assert not opened.execute_script(inside)


def _note(driver: Any) -> str:
    """What the line at the foot of the window says, once it does."""
    from selenium.webdriver.support.wait import WebDriverWait

    shown = "const note = document.querySelector('.note.shown'); return note?.innerText ?? ''"
    return str(WebDriverWait(driver, 5).until(lambda browser: browser.execute_script(shown)))


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


def test_without_scripts_the_page_reads_in_full(driver, written, tmp_path):
    bare = tmp_path / "bare.html"
    text = written["report"].read_text("utf-8")
    start = text.rindex("<script>")
    bare.write_text(text[:start] + text[text.index("</script>", start) :], encoding="utf-8")
    driver.get(bare.as_uri())
    assert len(_shown(driver)) == 34
    hidden = (
        "return [...document.querySelectorAll('.needs-script')].every(x => x.offsetParent === null)"
    )
    assert driver.execute_script(hidden)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("desktop", 1280), ("phone", 390)])
@pytest.mark.parametrize("name", ["report", "index", "compare"])
def test_every_page_fits_its_window(driver, written, tmp_path, name, device, width, theme):
    with seen_at(driver, width, theme):
        driver.get(written[name].as_uri())
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        _keep_screenshot(driver, f"{name}-{device}-{theme}", tmp_path)
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


def test_the_trials_are_downloaded_as_the_plain_numbers_of_their_file(opened, written, downloads):
    from selenium.webdriver.support.wait import WebDriverWait

    for old in downloads.iterdir():
        old.unlink()
    _find(opened, "button[data-csv=trials]").click()
    folder = WebDriverWait(opened, 10).until(lambda _: list(downloads.glob("*.csv")))
    found = pd.read_csv(folder[0])
    own = pd.read_csv(written["report"].parent / "trials.csv")
    pd.testing.assert_frame_equal(found, own)
    assert found["score"].dropna().between(0, 1).all()
    assert found["winner"].sum() == 1


def test_only_the_rows_that_are_shown_are_downloaded(opened, downloads):
    from selenium.webdriver.support.wait import WebDriverWait

    for old in downloads.iterdir():
        old.unlink()
    _find(opened, "input[data-filter=trials]").send_keys("probe")
    _find(opened, "button[data-csv=trials]").click()
    folder = WebDriverWait(opened, 10).until(lambda _: list(downloads.glob("*.csv")))
    assert set(pd.read_csv(folder[0])["kind"]) == {"probe"}


def test_the_map_is_coloured_by_class_before_there_are_answers(driver, written):
    driver.get(written["tuned"].as_uri())
    driver.execute_async_script("document.getElementById('atlas').decode().then(arguments[0])")
    canvas = _find(driver, "#map canvas")
    hues = driver.execute_script(HUES, canvas)
    assert len(hues) >= 4
    legend = driver.find_element("css selector", "#map .legend")
    assert all(name in legend.text for name in CLASSES)


HUES = """
const [canvas, seen] = [arguments[0], new Set()];
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let i = 0; i < data.length; i += 4) {
  const [r, g, b] = data.slice(i, i + 3);
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (data[i + 3] < 200 || most - least < 60) continue;
  const spread = most - least;
  const green = most === g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
  const part = most === r ? (g - b) / spread : green;
  seen.add(Math.round((part + 6) % 6));
}
return [...seen];
"""
"""Sixths of the circle of hues that a canvas shows."""

EMPTY_HEADINGS = """
const shown = (item) => item.checkVisibility() && item.getBoundingClientRect().height > 2;
const heads = [...document.querySelectorAll("h2, h3, h4, summary")].filter(shown);
const after = (head) => {
  let next = head.nextElementSibling;
  while (next && !shown(next)) next = next.nextElementSibling;
  return next;
};
const empty = (head) => {
  const next = after(head);
  return !next || (/^H[1-4]$/.test(next.tagName) && next.tagName <= head.tagName);
};
return heads.filter(empty).map((head) => head.textContent);
"""


@pytest.mark.parametrize("name", ["report", "compare", "tuned"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_paper_no_heading_stands_over_nothing_and_nothing_is_cut_off(
    driver, written, name, theme
):
    with seen_at(driver, 718, theme, media="print"):
        driver.get(written[name].as_uri())
        driver.execute_script("dispatchEvent(new Event('beforeprint'))")
        assert driver.execute_script(EMPTY_HEADINGS) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 718
        breaks = "return [...document.querySelectorAll('h2, h3, h4, summary')]"
        kept = driver.execute_script(f"{breaks}.map((head) => getComputedStyle(head).breakAfter)")
        assert set(kept) == {"avoid"}
        paper = "return getComputedStyle(document.body).backgroundColor"
        assert driver.execute_script(paper) == "rgb(255, 255, 255)"
        driver.execute_script("dispatchEvent(new Event('afterprint'))")


def test_what_is_only_drawn_by_scripts_is_printed_too(driver, written):
    with seen_at(driver, 718, "light", media="print"):
        driver.get(written["report"].as_uri())
        for part in ("#map canvas", "#confusion canvas", "#parallel svg"):
            assert driver.find_element("css selector", part).is_displayed()
        for part in (".tools", ".bar", "#confusion .card"):
            assert not driver.find_element("css selector", part).is_displayed()


def test_the_winner_is_the_thick_line_and_bears_the_star(opened, written):
    assert len(opened.find_elements("css selector", "#parallel .line.winner")) == 1
    assert opened.find_element("css selector", "#parallel .star").text == "★"


def test_no_words_of_a_figure_are_cut_off(opened):
    cut = """
    return [...document.querySelectorAll("svg.figure")].flatMap((figure) => {
      const box = figure.getBoundingClientRect();
      return [...figure.querySelectorAll("text")]
        .filter((text) => text.getBoundingClientRect().right > box.right + 2)
        .map((text) => `${figure.getAttribute("aria-labelledby")}: ${text.textContent}`);
    })
    """
    assert opened.execute_script(cut) == []


def test_a_comparison_shows_turned_pictures_as_both_studies_saw_them(driver, written):
    driver.set_window_size(1280, 1000)
    driver.get(written["compare"].as_uri())
    cards = driver.find_elements("css selector", "#turned .gallery li")
    assert cards
    for card in cards:
        driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", card)
        first, second = card.find_elements("css selector", "img")
        loaded = "return Promise.all([...arguments].map(x => x.decode())).then(() => true)"
        assert driver.execute_script(loaded, first, second)
        shapes = [
            driver.execute_script("return arguments[0].naturalWidth / arguments[0].naturalHeight",
                                  picture)
            for picture in (first, second)
        ]  # fmt: skip
        assert shapes == pytest.approx([96 / 64, 66 / 42], rel=0.02)
        assert "\N{CHECK MARK}" in card.text
    assert driver.get_log("browser") == []
