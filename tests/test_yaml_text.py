"""YAML as plain values: what is read, and what would take too long or too much is refused."""

from __future__ import annotations

import pytest

from cars_bench.errors import UsageError
from cars_bench.yaml_text import MOST_CHARACTERS, parse_yaml


def test_values_and_the_lines_of_their_fields():
    found = parse_yaml("a: &a {b: [1, x]}\nc: *a\n", "f.yaml")
    assert found.value == {"a": {"b": [1, "x"]}, "c": {"b": [1, "x"]}}
    assert found.lines[("a", "b", "1")] == 1
    assert found.error(("c", "d"), "d is odd.", "").message == "f.yaml line 2: d is odd."


def doubled(line: str) -> str:
    """Forty lines, each of which holds the one before twice."""
    return "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {line.replace('*', f'*a{n - 1}')}\n" for n in range(1, 40)
    )


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (doubled("{p: *, q: *}"), r"line \d+ is not YAML: written out it holds too much"),
        (doubled("[*, *]"), "written out it holds too much"),
        (doubled("{<<: [*, *]}"), "written out it holds too much"),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99)), "too deep"),
        ("a: &a\n  b: *a\n", "line 1 is not YAML: written out it holds too much"),
        ("a: " + "[" * 50 + "]" * 50, "too deep"),
        ("a: " + "[" * 90_000, "not YAML"),
        ("a: " + "{a: " * 40_000, "not YAML"),
        ("- " * 90_000, "not YAML"),
        ("a: " + "x" * MOST_CHARACTERS, "over 200,000 characters"),
        ("a: [" + "1, " * 30_000 + "]", "written out it holds too much"),
        ("a: " + "9" * 5_000, "a number has 5,000 characters"),
        ("a: 0x" + "f" * 5_000, "a number has 5,002 characters"),
        ("a: 1" + ":1" * 50_000, "a number has 100,001 characters"),
        ("a: 2020-01-01", "timestamp is no plain value, write it in quotes"),
        ("a: !!set {b}", "set is no plain value"),
        ("a: !!binary aGk=", "binary is no plain value"),
        ("1: a", "line 1 is not YAML: a field's name is no text"),
        ("a: {yes: 1}", "a field's name is no text"),
    ],
)
def test_what_is_no_plain_short_document_is_refused_at_once(text, message):
    with pytest.raises(UsageError, match=message):
        parse_yaml(text, "f.yaml")
