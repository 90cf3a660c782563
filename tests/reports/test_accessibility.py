"""Every page against axe-core, the rules of the WCAG that a program can check (`npm ci` brings it).

In both colour schemes, on a desktop and a phone, with everything unfolded that can be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reports.browser import seen_at

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
UNFOLD = "document.querySelectorAll('details').forEach((item) => (item.open = true))"
RUN = """
const said = (node) => node.html.slice(0, 120) + " | " + node.failureSummary.split("\\n")[1];
axe.run(document, {resultTypes: ["violations"]}).then((found) => arguments[0](
  found.violations.flatMap((rule) => rule.nodes.map((node) => rule.id + ": " + said(node)))));
"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci")
    return AXE.read_text("utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report", "index", "compare", "tuned"])
def test_axe_finds_no_violation(driver, written, axe, name, width, theme):
    with seen_at(driver, width, theme):
        driver.get(written[name].as_uri())
        driver.execute_script(UNFOLD)
        assert violations(driver, axe) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_dialog_of_a_trial(driver, written, axe, theme):
    with seen_at(driver, 390, theme):
        driver.get(written["report"].as_uri())
        driver.execute_script("document.querySelector('#trials .open button').click()")
        assert violations(driver, axe) == []


def test_its_version_is_pinned():
    wanted = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    assert wanted["axe-core"] == locked["node_modules/axe-core"]["version"]


def violations(driver: Any, axe: str) -> list[str]:
    """What breaks a rule, a line each."""
    driver.execute_script(axe)
    driver.set_script_timeout(60)
    return list(driver.execute_async_script(RUN))
