"""The API as it is looked up: lazily, by the commands' names, and with their options.

Covers cars_bench/rooms.py, cars_bench/api/places.py.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import cars_bench
from cars_bench import api
from cars_bench.cli.app import COMMANDS
from cars_bench.cli.evaluate import evaluate
from cars_bench.cli.extract import extract
from cars_bench.cli.finetune import finetune
from cars_bench.cli.predict import predict
from cars_bench.cli.prepare import prepare
from cars_bench.cli.tune import tune
from cars_bench.errors import CacheMissing
from cars_bench.workspace import Workspace

OF_COMMANDS = {
    item.__name__: item for item in (prepare, extract, tune, finetune, evaluate, predict)
}
SHARED = {"workspace", "quiet"}
LEFT_OUT = {"dry_run"}


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_import_loads_nothing_but_the_package_itself():
    code = """
import sys
import typing
before = set(sys.modules)
import cars_bench
print(*sorted(set(sys.modules) - before))
"""
    assert python(code) == "cars_bench"


def test_looking_a_function_up_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys, cars_bench; cars_bench.tune; print({'keras', 'tensorflow'} & {*sys.modules})"
    )
    assert python(code) == "set()"


@pytest.mark.parametrize("name", cars_bench.__all__)
def test_every_name_is_documented_typed_and_listed(name):
    function = getattr(api, name)
    assert inspect.getdoc(function)
    assert "return" in get_type_hints(function)
    assert name in dir(cars_bench)


def test_nothing_is_listed_but_the_api_and_the_versions():
    code = "import cars_bench; print(*[n for n in dir(cars_bench) if n[0] != '_'])"
    assert python(code).split() == sorted([*cars_bench.__all__, "SCHEMA_VERSION"])


def test_type_checkers_see_the_names_that_are_looked_up():
    tree = ast.parse(Path(cars_bench.__file__).read_text())
    seen = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "cars_bench.api"
        for alias in node.names
    ]
    assert sorted(seen) == sorted(cars_bench.__all__) == sorted(api.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'explode'"):
        cars_bench.explode  # noqa: B018


def test_a_room_that_shares_its_name_is_called_as_the_function(tmp_path):
    import cars_bench.finetune.request

    assert inspect.ismodule(cars_bench.finetune)
    assert inspect.signature(cars_bench.finetune) == inspect.signature(api.finetune)
    assert inspect.getdoc(cars_bench.finetune) == inspect.getdoc(api.finetune)
    with pytest.raises(cars_bench.errors.UsageError, match="which head"):
        cars_bench.finetune(workspace=tmp_path)


@pytest.mark.parametrize("name", OF_COMMANDS)
def test_keywords_are_the_commands_options(name):
    command = inspect.signature(OF_COMMANDS[name]).parameters.keys() - {"session"} - LEFT_OUT
    assert set(inspect.signature(getattr(api, name)).parameters) == command | SHARED
    assert name in COMMANDS


@pytest.mark.parametrize("name", OF_COMMANDS)
def test_defaults_are_the_commands_where_both_have_one(name):
    theirs = inspect.signature(OF_COMMANDS[name]).parameters
    for key, ours in inspect.signature(getattr(api, name)).parameters.items():
        if key in theirs and (name, key) != ("predict", "output"):
            assert (ours.default or None) == (theirs[key].default or None), key


def test_the_workspace_is_that_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CARS_BENCH_WORKSPACE", str(tmp_path))
    assert api.places.place_of(None) == Workspace.locate()
    with pytest.raises(CacheMissing):
        cars_bench.open_cache()


def test_an_error_is_read_in_a_notebook_as_on_the_command_line(tmp_path):
    with pytest.raises(CacheMissing) as caught:
        cars_bench.open_cache(workspace=tmp_path)
    error = caught.value
    assert error._render_traceback_() == [f"error: {error.message}", f"  fix: {error.fix}"]
    assert error.__notes__ == [f"  fix: {error.fix}"]
