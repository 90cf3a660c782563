"""The notebook in `docs/`: it names what is there, was run to its end, and runs (slow)."""

from __future__ import annotations

import ast
import inspect
import os
import re
from pathlib import Path
from typing import Any, get_type_hints

import nbformat
import pytest

from cars_bench import api
from cars_bench.backbones.catalogue import is_packaged

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
MOST_BYTES = 1_000_000
SOMEWHERE = re.compile(r"/(?:tmp|home|root|work|Users|var|usr)/")
API = "cars_bench"


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def strange(code: str) -> list[str]:
    """What of the API a program uses that is not there: functions, keywords, attributes."""
    tree = ast.parse(code)
    owners = owners_in(tree)
    uses = [
        (node, owners[node.value.id])
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in owners
    ]
    missing = [f"{use.value.id}.{use.attr}" for use, owner in uses if not has(owner, use.attr)]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = getattr(dict(uses).get(call.func), getattr(call.func, "attr", ""), None)
        known = inspect.signature(function).parameters if function else ()
        given = [keyword.arg for keyword in call.keywords if function and keyword.arg]
        missing += [f"{call.func.attr}({name}=)" for name in given if name not in known]
    return missing


def owners_in(tree: ast.Module) -> dict[str, Any]:
    """The API, and the kind of each name that is given a result of one of its functions."""
    owners = {API: api}
    for node in ast.walk(tree):
        made = node.value.func if isinstance(getattr(node, "value", None), ast.Call) else None
        if isinstance(node, ast.Assign) and getattr(getattr(made, "value", None), "id", "") == API:
            kind = get_type_hints(getattr(api, made.attr))["return"]
            owners |= {name.id: kind for name in node.targets}
    return owners


def has(owner: Any, name: str) -> bool:
    """Whether it has the attribute, or will have it as a field."""
    return hasattr(owner, name) or name in getattr(owner, "__annotations__", {})


def test_its_cells_name_only_what_is_there(cells):
    code = "\n".join(cell.source for cell in cells)
    assert strange(code) == []
    assert {"prepare", "extract", "tune", "finetune"} <= set(re.findall(rf"{API}\.(\w+)", code))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("cars_bench.explode()", ["cars_bench.explode"]),
        ("cars_bench.tune(tries=3)", ["tune(tries=)"]),
        ("study = cars_bench.tune()\nstudy.medals()", ["study.medals"]),
        ("study = cars_bench.tune()\nstudy.probe(loud=True)", ["probe(loud=)"]),
    ],
)
def test_a_name_that_is_not_there_is_noticed(code, said):
    assert strange(code) == said


def test_it_was_run_from_its_first_cell_to_its_last(cells):
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]


def test_it_is_small_and_tells_nothing_of_the_machine_it_was_run_on(cells):
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    shown = [
        text
        for cell in cells
        for out in cell.outputs
        for text in [out.get("text", ""), *out.get("data", {}).values()]
        if not text.startswith("iVBOR")  # a picture
    ]
    assert not [text for text in shown if SOMEWHERE.search(text)]
    assert not [out for cell in cells for out in cell.outputs if out.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_runs_without_an_error(notebook, monkeypatch, tmp_path):
    if not is_packaged("efficientnet-lite0"):
        pytest.skip("the offline weights are not installed")
    client = pytest.importorskip("nbclient")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    run = client.NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    run.execute()  # raises at the first cell that does
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
