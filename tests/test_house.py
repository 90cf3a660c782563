"""The house: each module has its tests where a reader looks for them, and no module is too long."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cars_bench"
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)
MOST_LINES = 400
COVERS = re.compile(r"Covers ((?:`?cars_bench/[\w/]+\.py`?(?:, | and )?)+)")


def covered() -> set[str]:
    """Modules that a test file names, in its docstring, beside the one it mirrors."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = (match[1] for text in texts for match in COVERS.finditer(text))
    return {name for names in named for name in re.findall(r"cars_bench/([\w/]+\.py)", names)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_mirrored_test_file_or_is_named_by_the_test_that_covers_it(module: str):
    mirrored = Path("tests", module).with_name(f"test_{Path(module).name}")
    assert (ROOT / mirrored).is_file() or module in covered(), f"{mirrored} is missing"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stays_short_enough_to_be_about_one_thing(module: str):
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_what_a_test_file_claims_to_cover_exists():
    assert covered() <= set(MODULES)
