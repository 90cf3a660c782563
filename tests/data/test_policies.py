"""Policies: the named ones, and YAML files refused by line and field."""

from __future__ import annotations

import pytest

from cars_bench.data.policies import NAMED, Policy, policy
from cars_bench.errors import InputError, UsageError


@pytest.mark.parametrize("name", ["none", "light", "default", "strong"])
def test_named_policies_exist(name):
    assert policy(name) is NAMED[name]


def test_a_yaml_file_gives_its_fields(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("flip: true\nrotation_degrees: 5\n")
    assert policy(path) == Policy("mine", flip=True, rotation_degrees=5.0)


def test_the_name_is_no_part_of_the_key():
    assert "name" not in policy("default").to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip: true\nturn: 5\n", r"line 2: turn is no field"),
        ("flip: 1\n", r"line 1: flip must be true or false, not 1"),
        ("\n\nscale_min: 2\n", r"line 3: scale_min must be a number from 0.1 to 1, not 2"),
        ("contrast: much\n", r"line 1: contrast must be a number"),
        ("brightness: .nan\n", r"line 1: brightness must be"),
        ("flip: true\nflip: false\n", r"line 2: flip stands there twice"),
        ("flip: [true\n", r"line 2 is not valid YAML"),
        ("- flip\n", r"line 1 must be"),
        ("", r"line 1 must be"),
        ("flip: !!python/object/apply:os.getcwd []\n", r"line 1"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_field(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        policy(path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="none, light, default, strong"):
        policy("wild")
