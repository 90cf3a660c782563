"""Policies: the named ones, and YAML files refused by line and field."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_bench.checksums import canonical
from cars_bench.data.policies import NAMED, Policy, policy
from cars_bench.documents import to_json
from cars_bench.errors import UsageError


@pytest.mark.parametrize("name", ["none", "light", "default", "strong"])
def test_named_policies_exist(name):
    assert policy(name) is NAMED[name]


def test_a_yaml_file_gives_its_fields(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("flip: true\nrotation_degrees: 5\n")
    assert policy(path) == Policy("mine", flip=True, rotation_degrees=5.0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "unchanged"),
        ("light", "mirrored half of the time; cut to 0.9 of the side or more"),
        ("strong", "turned by up to 12°; shifted by up to 0.08 of the side; brightness changed by"),
    ],
)
def test_the_ranges_are_told_in_words(name, words):
    assert words in NAMED[name].describe()


@pytest.mark.parametrize("name", NAMED)
def test_a_policy_is_read_back_from_its_record(name):
    assert Policy.recorded(name, canonical(NAMED[name].to_json())) == NAMED[name]


def test_the_name_is_no_part_of_the_key():
    assert "name" not in policy("default").to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip: true\nturn: 5\n", r"line 2: Policy has no field 'turn'"),
        ("flip: 1\n", r"line 1: flip must be true or false, got 1"),
        ("\n\nscale_min: 2\n", r"line 3: scale_min must be from 0.1 to 1, got 2"),
        ("contrast: much\n", r"line 1: contrast must be a number"),
        ("brightness: .nan\n", r"line 1: brightness must be"),
        ("flip: true\nflip: false\n", r"line 2: flip stands there twice"),
        ("flip: [true\n", r"line 2 is not YAML"),
        ("- flip\n", r"line 1 must be"),
        ("", r"line 1 must be"),
        ("flip: !!python/object/apply:os.getcwd []\n", r"line 1"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_field(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        policy(path)
    assert caught.value.code == 2
    assert str(path) in caught.value.message


def test_a_misspelt_field_is_told_the_nearest(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("scale: 0.5\n")
    with pytest.raises(UsageError) as caught:
        policy(path)
    assert "did you mean scale_min?" in caught.value.fix


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        policy(path)


@settings(deadline=None)  # it waits for the disk
@given(
    st.builds(
        Policy,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        flip=st.booleans(),
        scale_min=st.floats(0.1, 1),
        rotation_degrees=st.floats(0, 180),
        translation=st.floats(0, 0.5),
        brightness=st.floats(0, 0.9),
        contrast=st.floats(0, 0.9),
    )
)
def test_any_policy_survives_yaml(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("policies") / "mine.yaml"
    path.write_text(yaml.safe_dump(to_json(wanted)), encoding="utf-8")
    assert policy(path) == wanted


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="none, light, default, strong"):
        policy("wild")
