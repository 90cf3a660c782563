from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cars_bench.errors import CarsBenchError
from cars_bench.reports import render
from cars_bench.reports.index import PLAIN_MODULES
from cars_bench.reports.page import MODULES
from cars_bench.reports.render import LIMIT_BYTES, breakable, check_size

ROOT = Path(__file__).parents[2]


STATIC = ROOT / "cars_bench" / "reports" / "static"
PAGES = [MODULES, PLAIN_MODULES]


@pytest.mark.parametrize("modules", PAGES)
def test_the_bundle_has_no_import_or_export_left(modules):
    code = render.script(modules)
    assert not any(line.startswith(("import ", "export ")) for line in code.splitlines())


def test_every_module_is_on_a_page():
    assert {path.stem for path in STATIC.glob("*.js")} == {name for page in PAGES for name in page}


@pytest.mark.parametrize("modules", PAGES)
def test_every_module_stands_after_those_it_imports(modules):
    for place, name in enumerate(modules):
        lines = (STATIC / f"{name}.js").read_text("utf-8").splitlines()
        needs = [
            line.split('"./')[1].split(".js")[0] for line in lines if line.startswith("import")
        ]
        assert set(needs) <= set(modules[:place])


def test_a_name_declared_twice_is_refused(monkeypatch):
    monkeypatch.setattr(render, "static", lambda name: "const same = 1;\n")
    with pytest.raises(ValueError, match="same"):
        render.script(("one", "two"))


def test_text_that_would_end_the_script_is_refused(monkeypatch):
    monkeypatch.setattr(render, "static", lambda name: 'const text = "</script>";\n')
    with pytest.raises(ValueError, match="end the script"):
        render.script(("one",))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_scripts_own_unit_tests_pass():
    done = subprocess.run(
        ["node", "--test", "tests/reports/js/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_page_too_large_to_send_is_refused():
    with pytest.raises(CarsBenchError, match="limit of 5 MB"):
        check_size("x" * (LIMIT_BYTES + 1))


def test_a_path_breaks_after_folders_and_underscores_and_stays_text():
    assert breakable("a/b_1<i>.jpg") == "a/<wbr>b_<wbr>1&lt;i&gt;.jpg"
