"""The card on disk and on a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.data.card import (
    CARD_FILE,
    Card,
    MissingImages,
    Quarantined,
    card_lines,
    read_card,
    write_card,
)
from cars_bench.documents import from_json, to_json
from cars_bench.errors import DatasetMissing, RecordDamaged
from tests.data.cards import a_card


def test_a_card_survives_the_file(tmp_path):
    card = a_card(
        missing=MissingImages(1, ("a.jpg",)),
        quarantined=(Quarantined("b.jpg", "the file is empty"),),
        warnings=("Watch out.",),
    )
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card


def test_the_keys_stand_in_the_order_they_always_had(tmp_path):
    write_card(tmp_path, a_card())
    assert list(json.loads((tmp_path / CARD_FILE).read_text())) == [
        "schema_version", "created", "source", "crop", "images", "classes", "split",
        "class_counts", "sizes", "boxes", "missing", "quarantined", "warnings", "versions",
        "digest", "groups", "detection", "sizes_digest", "checksum",
    ]  # fmt: skip


@given(st.data())
def test_any_names_and_counts_survive_json(data):
    names = st.text(st.characters(exclude_categories=["Cs"]))
    counts = st.dictionaries(names, st.dictionaries(names, st.integers(0, 9)))
    card = a_card(
        class_counts=data.draw(counts),
        warnings=tuple(data.draw(st.lists(names))),
        quarantined=tuple(data.draw(st.lists(st.builds(Quarantined, names, names)))),
    )
    assert from_json(Card, json.loads(json.dumps(to_json(card)))) == card


def test_a_folder_without_a_card_is_no_dataset(tmp_path):
    with pytest.raises(DatasetMissing) as caught:
        read_card(tmp_path)
    assert "prepare" in caught.value.fix


@pytest.mark.parametrize("content", ["", "{", "[]", '{"digest": "d"}', '{"digest": 3}'])
def test_a_damaged_card_is_called_so(tmp_path, content):
    (tmp_path / CARD_FILE).write_text(content)
    with pytest.raises(RecordDamaged, match=r"card\.json") as caught:
        read_card(tmp_path)
    assert caught.value.fix == "run prepare again"


def test_a_person_reads_counts_sizes_and_the_first_of_what_was_set_aside():
    card = a_card(
        missing=MissingImages(2, ("x", "y")),
        quarantined=tuple(Quarantined(f"{n}.jpg", "it is HTML") for n in range(7)),
        warnings=("Watch out.",),
        groups={"family": {"a": "x", "b": "x", "c": "y"}},
    )
    lines = card_lines("cars", card)
    assert lines[0] == "cars: 60 images of 4 classes (15 a class)"
    assert lines[1] == "split: 36 train, 12 val, 12 test (the source's own)"
    assert "groups: family, 2 values for 3 classes" in lines
    assert "missing: 2 labelled images have no file" in lines
    assert "  4.jpg: it is HTML" in lines
    assert "  and 2 more" in lines
    assert lines[-1] == "warning: Watch out."
