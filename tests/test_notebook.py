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
    kinds = {
        node.targets[0].id: get_type_hints(getattr(api, node.value.func.attr))["return"]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and getattr(node.value.func.value, "id", "") == API
        and hasattr(api, node.value.func.attr)
    }
    owners: dict[str, Any] = {API: api} | kinds
    used = [
        (node, owners[node.value.id])
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in owners
    ]
    fields = {name: getattr(kind, "__annotations__", {}) for name, kind in owners.items()}
    missing = [
        f"{node.value.id}.{node.attr}"
        for node, owner in used
        if not hasattr(owner, node.attr) and node.attr not in fields[node.value.id]
    ]
    return missing + [
        f"{call.func.attr}({keyword.arg}=)"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        for function in [
            getattr(owners.get(getattr(call.func.value, "id", "")), call.func.attr, None)
        ]
        if function is not None
        for keyword in call.keywords
        if keyword.arg and keyword.arg not in inspect.signature(function).parameters
    ]


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
