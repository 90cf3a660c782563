"""Strict JSON and the checksum that a document carries: no value of it changes unnoticed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.checksums import (
    CHECKSUM,
    VERSION,
    canonical,
    check_seal,
    checksum,
    read_json,
    sealed,
    strict_json,
    unsealed,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
VALUES = st.dictionaries(st.text(min_size=1, max_size=4), PLAIN, max_size=4)


def test_canonical_text_does_not_know_the_order():
    assert canonical({"b": [1, 2.5], "a": None}) == canonical({"a": None, "b": [1, 2.5]})
    assert canonical({"b": 1, "a": "x"}) == '{"a":"x","b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


@given(VALUES)
def test_what_was_sealed_is_unsealed_again(values):
    document = strict_json(json.dumps(sealed(values)))
    check_seal(document)
    assert unsealed(document) == values
    assert [*document] == [VERSION, *values, CHECKSUM]


@given(VALUES.filter(bool), st.data(), PLAIN)
def test_a_value_that_was_changed_is_noticed(values, data, other):
    name = data.draw(st.sampled_from(sorted(values)))
    document = sealed(values)
    same = canonical(document[name]) == canonical(other)
    document[name] = other
    if same:
        check_seal(document)
        return
    with pytest.raises(ValueError, match="a value was changed"):
        check_seal(document)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "must be 1 or 2, found None"),
        ({VERSION: 3}, "found 3"),
        ({VERSION: True}, "found True"),
        ({VERSION: [2]}, r"found \[2\]"),
        ({VERSION: "9" * 1000}, "found '9{12}\\.{3}9{13}'$"),
        ({VERSION: 2, "a": 1}, "its checksum is missing"),
        ({VERSION: 2, "a": 1, CHECKSUM: None}, "its checksum is missing"),
    ],
)
def test_a_document_must_be_of_a_known_version_and_have_its_checksum(document, problem):
    with pytest.raises(ValueError, match=problem):
        unsealed(document)


def test_a_document_of_the_first_version_has_no_checksum():
    document = {VERSION: 1, "a": 1}
    check_seal(document)
    assert unsealed(document) == {"a": 1}
    assert unsealed(document | {CHECKSUM: "x"}) == {"a": 1, CHECKSUM: "x"}
    assert unsealed([1]) == [1]


def test_a_checksum_is_of_the_values_and_not_of_the_text():
    assert checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    assert checksum({"a": 1}) != checksum({"a": 1.0})


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-1e999", '{"a": 1e400}', "[" * 10**5, "", "{"]
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        strict_json(text)


def test_only_a_file_is_read(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")
    with pytest.raises(ValueError, match="no plain file"):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no plain file"):
        read_json(tmp_path / "pipe")
