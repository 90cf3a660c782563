"""Records and specs as documents: there and back, and every way in which they can be wrong."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_bench.checksums import canonical, sealed
from cars_bench.documents import (
    FieldError,
    above,
    at_least,
    from_json,
    from_yaml,
    named_text,
    one_of,
    read_record,
    shipped,
    text_of,
    to_json,
    within,
    write_record,
)
from cars_bench.errors import InputError, RecordDamaged, UsageError


@dataclass(frozen=True)
class Layer:
    units: int
    rate: float = 0.0

    def __post_init__(self) -> None:
        at_least("units", self.units, 1)
        within("layer.rate", self.rate, 0.0, 1.0)


@dataclass(frozen=True)
class Spec:
    name: str
    _: KW_ONLY
    layers: tuple[Layer, ...] = ()
    first: Layer | None = None
    pair: tuple[int, str] = (1, "a")
    tags: list[str] = field(default_factory=list)
    sizes: dict[str, Layer] = field(default_factory=dict)
    kind: Literal["a", "b"] = "a"
    limit: int | float | str | None = None
    on: bool = False
    free: Any = None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LAYERS = st.builds(Layer, st.integers(1, 2**40), st.floats(0, 1))
SPECS = st.builds(
    Spec,
    TEXT,
    layers=st.lists(LAYERS, max_size=3).map(tuple),
    first=st.none() | LAYERS,
    pair=st.tuples(st.integers(), TEXT),
    tags=st.lists(TEXT, max_size=3),
    sizes=st.dictionaries(TEXT, LAYERS, max_size=3),
    kind=st.sampled_from(["a", "b"]),
    limit=st.none() | st.integers() | FINITE | TEXT,
    on=st.booleans(),
    free=st.none() | st.lists(st.integers()) | st.dictionaries(TEXT, TEXT),
)
SPEC = Spec("x", layers=(Layer(3, 0.5), Layer(4)), first=Layer(1), sizes={"a": Layer(2)})


@given(SPECS)
def test_anything_survives_json(spec):
    again = from_json(Spec, json.loads(json.dumps(to_json(spec), allow_nan=False)))
    assert again == spec
    assert canonical(to_json(again)) == canonical(to_json(spec))


@settings(deadline=None)  # PyYAML takes its time
@given(SPECS)
def test_anything_survives_yaml(spec):
    text = yaml.safe_dump(to_json(spec))
    assert from_yaml(Spec, text, "spec.yaml") == spec


@given(SPECS)
def test_what_stands_there_partly_is_read_partly(spec):
    document = to_json(spec) | {"later": 1}
    document["layers"] = [layer | {"later": {}} for layer in document["layers"]]
    assert from_json(Spec, document, partly=True) == spec
    with pytest.raises(FieldError, match="no field 'later'"):
        from_json(Spec, document)


@pytest.mark.parametrize(
    ("document", "message", "place"),
    [
        ([], "Spec must be a mapping", ()),
        ({}, "lacks the field 'name'", ()),
        ({"name": 1}, "name must be text, got 1", ("name",)),
        ({"name": "x", "on": 1}, "on must be true or false, got 1", ("on",)),
        ({"name": "x", "kind": "c"}, "kind must be one of a, b, got 'c'", ("kind",)),
        ({"name": "x", "limit": []}, "limit must be text", ("limit",)),
        ({"name": "x", "tags": "a"}, r"tags must be a list, got 'a'", ("tags",)),
        ({"name": "x", "tags": ["a", 2]}, r"tags\[1\] must be text, got 2", ("tags", "1")),
        ({"name": "x", "pair": [1]}, "pair must be a list of 2", ("pair",)),
        ({"name": "x", "pair": ["1", "a"]}, r"pair\[0\] must be a whole", ("pair", "0")),
        ({"name": "x", "sizes": []}, "sizes must be a mapping", ("sizes",)),
        ({"name": "x", "sizes": {"a": 1}}, "a must be a mapping", ("sizes", "a")),
        ({"name": "x", "first": {"units": True}}, "units must be a whole", ("first", "units")),
        ({"name": "x", "first": {"units": 2.0}}, "units must be a whole", ("first", "units")),
        (
            {"name": "x", "first": {"units": 1, "rate": 10**400}},
            "rate must be a number that fits",
            ("first", "rate"),
        ),
        (
            {"name": "x", "first": {"units": 1, "rate": "1"}},
            "rate must be a number, got '1'",
            ("first", "rate"),
        ),
        (
            {"name": "x", "layers": [{"units": 1}, {"units": 0}]},
            "units must be at least 1, got 0",
            ("layers", "1", "units"),
        ),
        (
            {"name": "x", "layers": [{"units": 1, "rate": float("nan")}]},
            "layer.rate must be from 0 to 1",
            ("layers", "0", "rate"),
        ),
        ({"name": "x", "layers": [3]}, r"layers\[0\] must be a mapping", ("layers", "0")),
    ],
)
def test_what_is_wrong_is_named_with_its_place(document, message, place):
    with pytest.raises(FieldError, match=message) as caught:
        from_json(Spec, document)
    assert caught.value.place == place
    assert caught.value.fix
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("name", "meant"), [("layer", "layers"), ("frist", "first"), ("Kind", "kind"), ("zzz", None)]
)
def test_an_unknown_field_is_told_the_nearest(name, meant):
    with pytest.raises(FieldError, match=f"Spec has no field '{name}'") as caught:
        from_json(Spec, {"name": "x", name: 1})
    assert ("did you mean" in caught.value.fix) == (meant is not None)
    assert meant is None or f"did you mean {meant}? " in caught.value.fix
    assert "the fields are first, free, kind" in caught.value.fix


def test_a_whole_number_will_do_for_a_number():
    layer = from_json(Layer, {"units": 1, "rate": 1})
    assert layer == Layer(1, 1.0)
    assert isinstance(layer.rate, float)


YAML = """\
# a comment
name: x
layers:
  - units: 1
  - units: 0
first:
  units: 2
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("", "", 5, "units must be at least 1"),
        ("units: 1", "units: many", 4, "units must be a whole number"),
        ("- units: 0", "- 7", 5, r"layers\[1\] must be a mapping"),
        ("  units: 2", "  unit: 2", 7, "Layer has no field 'unit'"),
        ("units: 2", "rate: 0.5", 6, "Layer lacks the field 'units'"),
        ("name: x", "nam: x", 2, "Spec has no field 'nam'"),
        ("  units: 2", "  units: 2\n  units: 3", 8, "units stands there twice"),
        ("# a comment", "name: y", 2, "name stands there twice"),
        ("- units: 0", "- units: [", 7, "not YAML"),
        ("units: 2", "units: !!int ''", None, "not YAML"),
        ("units: 2", "units: !!bool maybe", None, "not YAML"),
        ("units: 2", "units: !!timestamp soon", None, "not YAML"),
        ("units: 2", "units: !!python/object/apply:os.getcwd []", 7, "not YAML"),
    ],
)
def test_errors_name_file_and_line(old, new, line, message):
    text = YAML.replace(old, new, 1)
    if message != "units must be at least 1":
        text = text.replace("units: 0", "units: 5")
    with pytest.raises(UsageError, match=message) as caught:
        from_yaml(Spec, text, "spec.yaml")
    assert caught.value.message.startswith("spec.yaml")
    assert line is None or f" line {line}" in caught.value.message


@pytest.mark.parametrize("text", ["", "- a\n", "7\n", "just words\n", "? [a]\n: 1\n"])
def test_what_is_no_mapping_of_names_is_refused(text):
    with pytest.raises(UsageError):
        from_yaml(Spec, text, "spec.yaml")


@given(st.text(max_size=40) | st.text("abnm: -[]{}&*!?'\"#\n,|>%@`<=1.~_", max_size=60))
def test_any_text_is_read_or_refused_in_one_sentence(text):
    message = ""
    try:
        from_yaml(Spec, text, "spec.yaml")
    except UsageError as error:
        message = error.message
    assert message.startswith("spec.yaml")
    assert "\n" not in message


def test_aliases_are_followed():
    text = "name: x\nfirst: &layer {units: 3}\nlayers: [*layer, *layer]\n"
    assert from_yaml(Spec, text, "spec.yaml").layers == (Layer(3), Layer(3))


def test_a_record_survives_the_file(tmp_path):
    path = tmp_path / "spec.json"
    write_record(path, SPEC)
    assert json.loads(path.read_text())["schema_version"] == 2
    assert read_record(path, Spec, InputError("none"), "make it again") == SPEC


def test_a_record_that_carries_no_checksum_yet_is_still_read(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"schema_version": 1} | to_json(SPEC)))
    assert read_record(path, Spec, InputError("none"), "make it again") == SPEC
    path.write_text(json.dumps({"schema_version": 2} | to_json(SPEC)))
    with pytest.raises(RecordDamaged, match="its checksum is missing"):
        read_record(path, Spec, InputError("none"), "make it again")


def test_a_record_of_a_file_name_that_is_no_unicode_survives_the_file(tmp_path):
    path = tmp_path / "spec.json"
    write_record(path, Spec("a\udcff"))
    assert read_record(path, Spec, InputError("none"), "make it again") == Spec("a\udcff")


def test_a_missing_record_is_what_its_owner_calls_it(tmp_path):
    with pytest.raises(InputError, match="nothing here"):
        read_record(tmp_path / "none.json", Spec, InputError("nothing here"), "")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="nothing here"):
        read_record(tmp_path / "file" / "none.json", Spec, InputError("nothing here"), "")


def test_a_record_cut_at_any_byte_is_damaged(tmp_path):
    path = tmp_path / "spec.json"
    write_record(path, Spec("Ünï", first=Layer(1)))
    whole = path.read_bytes()
    for size in range(len(whole) - 1):  # the last byte is a line's end
        path.write_bytes(whole[:size])
        with pytest.raises(RecordDamaged, match=r"spec\.json") as caught:
            read_record(path, Spec, InputError("none"), "make it again")
        assert (caught.value.code, caught.value.fix) == (4, "make it again")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "is not JSON"),
        (b"null", "Spec must be a mapping, got None"),
        (b"[1]", "Spec must be a mapping"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"name": NaN}', "'NaN' is no number"),
        (b'{"name": "x"}', "schema_version must be 1 or 2, found None"),
    ],
)
def test_what_was_not_written_is_damaged(tmp_path, content, problem):
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    with pytest.raises(RecordDamaged, match=rf"spec\.json .*{problem}"):
        read_record(path, Spec, InputError("none"), "")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"other": 1}, "Spec has no field 'other'"),
        ({"name": 7}, "name must be text, got 7"),
        ({"name": "y"}, "a value was changed: its checksum is of other values"),
        ({"tags": ["b", "a"]}, "a value was changed"),
        ({"first": {"units": True}}, "first.units: units must be a whole number, got True"),
        ({"layers": [{"units": -1}]}, r"layers\.0\.units: units must be at least 1, got -1"),
        ({"name": ["x" * 10**6]}, r"name must be text, got \['x{12}\.{3}x+'\]\.$"),
    ],
)
def test_what_was_edited_is_damaged_and_says_where(tmp_path, change, problem):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(sealed(to_json(Spec("x", tags=["a", "b"]))) | change))
    with pytest.raises(RecordDamaged, match=problem):
        read_record(path, Spec, InputError("none"), "")


def test_shipped_files_go_by_name_and_others_by_path(tmp_path):
    names = shipped("cars_bench.tuning", "spaces")
    assert names == sorted(names)
    assert names
    assert "hyperparameters" in named_text("space", names[0], "cars_bench.tuning", "spaces")
    own = tmp_path / "mine.yaml"
    own.write_text("name: ü\n", encoding="utf-8")
    assert named_text("space", str(own), "cars_bench.tuning", "spaces") == "name: ü\n"
    with pytest.raises(UsageError, match="no space 'nowhere'") as caught:
        named_text("space", "nowhere", "cars_bench.tuning", "spaces")
    assert names[0] in caught.value.fix


def test_a_file_of_other_bytes_is_not_text(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        text_of(path)


@pytest.mark.parametrize(
    ("check", "arguments", "good", "bad"),
    [
        (at_least, (1,), (1, 1.5), (0.999, float("nan"), float("inf"))),
        (above, (0,), (1e-300, 5), (0, -1, float("nan"), float("inf"))),
        (within, (0.0, 1.0), (0, 0.5, 1), (-0.1, 1.1, float("nan"), float("inf"))),
        (one_of, (("a", "b"),), ("a", "b"), ("", "A", "ab")),
    ],
)
def test_ranges_take_their_ends_and_refuse_what_lies_outside(check, arguments, good, bad):
    for value in good:
        check("some.field", value, *arguments)
    for value in bad:
        with pytest.raises(FieldError, match=r"some\.field") as caught:
            check("some.field", value, *arguments)
        assert caught.value.place == ("some", "field")
