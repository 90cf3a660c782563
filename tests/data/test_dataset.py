"""The dataset on disk: what is stored, what is derived, what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cars_bench.data.dataset import (
    COLUMNS,
    Dataset,
    LabelledImage,
    digest_of,
    evenly,
    write_dataset,
)
from cars_bench.errors import DatasetMissing, RecordDamaged
from cars_bench.workspace import Workspace
from tests.rewriting import rewrite


def test_load_gives_back_what_was_written(workspace, tiny_dataset):
    loaded = Dataset.load(workspace)
    assert loaded.name == "tiny"
    assert list(loaded.table.columns) == COLUMNS
    assert loaded.digest == tiny_dataset.digest
    assert loaded.class_names == ["bar", "cross", "disc", "square"]
    assert loaded.table["label"].dtype == np.int64


def test_splits_are_ordered_and_do_not_overlap(tiny_dataset):
    ids = {name: tiny_dataset.split(name)["image_id"].tolist() for name in ("train", "val", "test")}
    assert [len(ids[name]) for name in ids] == [36, 12, 12]
    assert all(names == sorted(names) for names in ids.values())
    assert not set(ids["train"]) & (set(ids["val"]) | set(ids["test"]))


def test_records_carry_a_box_only_when_cropped(tiny_dataset):
    assert all(record.box is None for record in tiny_dataset.records("train"))
    cropped = dataclasses.replace(
        tiny_dataset, card=dataclasses.replace(tiny_dataset.card, crop="boxes")
    )
    row, record = tiny_dataset.split("val").iloc[0], cropped.records("val")[0]
    assert record.box == (row.x1, row.y1, row.x2, row.y2)
    assert (record.image_id, str(record.path), record.label) == (row.image_id, row.path, row.label)


def test_digest_ignores_where_images_lie_and_sees_everything_else(tiny_dataset):
    table = tiny_dataset.table
    assert digest_of(table.assign(path="/elsewhere")) == tiny_dataset.digest
    assert digest_of(table.sample(frac=1, random_state=1)) == tiny_dataset.digest
    for column, value in (("label", 9), ("class_name", "x"), ("split", "test"), ("sha256", "0"),
                          ("x1", np.nan), ("image_id", "z.png")):  # fmt: skip
        changed = table.copy()
        changed[column] = changed[column].astype(object)
        changed.loc[3, column] = value
        assert digest_of(changed) != tiny_dataset.digest, column


def test_images_inside_the_folder_move_with_the_workspace(workspace, tiny_dataset, tmp_path):
    inside = tiny_dataset.folder / "images"
    shutil.copytree(tiny_dataset.table["path"].iloc[0].rsplit("/", 1)[0], inside)
    paths = [str(inside / name) for name in tiny_dataset.table["image_id"]]
    write_dataset(tiny_dataset.folder, tiny_dataset.table.assign(path=paths), tiny_dataset.card)
    moved = workspace.root.rename(tmp_path / "moved")
    loaded = Dataset.load(Workspace(moved))
    assert loaded.digest == tiny_dataset.digest
    assert all(record.path.is_file() for record in loaded.records("test"))


@pytest.mark.parametrize("class_name", ["NA", "nan", "a,b", 'q"uote', "None", "Ünï", "1"])
def test_any_class_name_survives_the_csv(workspace, tiny_dataset, class_name):
    table = tiny_dataset.table.replace({"class_name": {"bar": class_name}})
    write_dataset(tiny_dataset.folder, table, tiny_dataset.card)
    assert Dataset.load(workspace).class_names[0] == class_name


LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
FILE_NAMES = st.text(LETTERS | st.sampled_from("'=+-@\t\r\n\",\\ "), min_size=1, max_size=9)


@settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=st.lists(FILE_NAMES, min_size=60, max_size=60, unique=True))
def test_any_legal_file_name_survives_the_csv(workspace, tiny_dataset, names):
    paths = [f"/images/{name}" for name in names]
    table = tiny_dataset.table.assign(image_id=names, path=paths)
    write_dataset(tiny_dataset.folder, table, tiny_dataset.card)
    loaded = Dataset.load(workspace).table
    assert loaded["image_id"].tolist() == names
    assert loaded["path"].tolist() == list(map(os.path.normpath, paths))


def test_none_prepared_is_said(workspace):
    with pytest.raises(DatasetMissing, match="No dataset has been prepared"):
        Dataset.load(workspace)


def test_an_unknown_name_lists_the_known_ones(workspace, tiny_dataset):
    with pytest.raises(DatasetMissing, match="there is: tiny"):
        Dataset.load(workspace, "other")


def test_a_folder_without_its_card_is_no_dataset(workspace, tiny_dataset):
    (tiny_dataset.folder / "card.json").unlink()
    with pytest.raises(DatasetMissing):
        Dataset.load(workspace)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ((",train,", ",test,"), "edited"),
        ((",48,48,", ",48,47,"), "edited"),
        ((",48,48,", ",48,wide,"), "damaged.*wide"),
        ((",48,48,", ",48,48,48,"), "damaged"),
        (("image_id,", "image_id\r"), "damaged"),
        ((",sha256", ",sha"), "its columns must be image_id,"),
    ],
)
def test_an_edited_table_is_refused(workspace, tiny_dataset, edit, problem):
    path = tiny_dataset.folder / "dataset.csv"
    path.write_text(path.read_text().replace(*edit, 1))
    with pytest.raises(RecordDamaged, match=rf"dataset\.csv .*{problem}"):
        Dataset.load(workspace)


@pytest.mark.parametrize("table", [None, b"", b"\xff\xfe", b"image_id\n1\n", b"\0"])
def test_what_is_no_table_is_refused(workspace, tiny_dataset, table):
    path = tiny_dataset.folder / "dataset.csv"
    path.unlink()
    path.write_bytes(table) if table is not None else path.mkdir()
    with pytest.raises(RecordDamaged, match=r"dataset\.csv is damaged"):
        Dataset.load(workspace)


def test_a_card_that_knows_no_sizes_yet_is_still_read(workspace, tiny_dataset):
    rewrite(tiny_dataset.folder / "card.json", lambda values: values.pop("sizes_digest"))
    assert Dataset.load(workspace).digest == tiny_dataset.digest


def test_card_is_strict_json_with_a_schema_version(tiny_dataset):
    card = json.loads((tiny_dataset.folder / "card.json").read_text())
    assert card["schema_version"] == 2
    assert card["class_counts"]["bar"] == {"train": 9, "val": 3, "test": 3}


def test_a_damaged_card_is_no_table_to_trust(workspace, tiny_dataset):
    path = tiny_dataset.folder / "card.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordDamaged):
        Dataset.load(workspace)


def test_an_image_is_found_by_its_name(tiny_dataset):
    row = tiny_dataset.table.iloc[5]
    image = tiny_dataset.images[row["image_id"]]
    assert (str(image.path), image.class_name, image.split) == (
        row["path"], row["class_name"], row["split"],
    )  # fmt: skip
    assert image.box == (row["x1"], row["y1"], row["x2"], row["y2"])
    assert (image.width, image.height) == (48, 48)
    assert len(tiny_dataset.images) == 60


def test_an_image_without_a_box_says_so(tiny_dataset):
    table = tiny_dataset.table.assign(x1=np.nan, y1=np.nan, x2=np.nan, y2=np.nan)
    bare = dataclasses.replace(tiny_dataset, table=table)
    assert {image.box for image in bare.images.values()} == {None}
    assert {image.unit_box for image in bare.images.values()} == {None}


@pytest.mark.parametrize(
    ("box", "shares"),
    [
        ((-5.0, 0.0, 50.0, 90.0), (0.0, 0.0, 0.5, 1.0)),
        (None, None),
        ((60.0, 0.0, 50.0, 90.0), None),
    ],
)
def test_boxes_are_cut_to_the_picture(box, shares):
    image = LabelledImage(
        image_id="a", path=Path("a"), class_name="x", split="test", box=box, width=100, height=80
    )
    assert image.unit_box == shares


def test_the_table_is_counted_as_the_card_has_it(tiny_dataset):
    assert tiny_dataset.counts() == tiny_dataset.card.class_counts
    assert list(tiny_dataset.counts()) == tiny_dataset.class_names


def test_copies_of_a_picture_are_found(tiny_dataset):
    table = tiny_dataset.table.copy()
    train = table.index[table["split"] == "train"][0]
    test = table.index[table["split"] == "test"][0]
    table.loc[test, ["sha256", "class_name"]] = table.loc[train, ["sha256", "class_name"]]
    copied = dataclasses.replace(tiny_dataset, table=table)
    assert tiny_dataset.copies() == []
    assert [item.names for item in copied.copies()] == [(table.loc[test, "image_id"],)]
    assert len(copied.same_files(copied.copies())) == 1
    assert copied.labels_elsewhere("test", "train") == {
        table.loc[test, "image_id"]: [table.loc[train, "class_name"]]
    }


@pytest.mark.parametrize(
    ("count", "most", "picked"), [(0, 3, []), (2, 3, [0, 1]), (9, 3, [0, 4, 8]), (5, 1, [0])]
)
def test_some_items_are_picked_from_end_to_end(count, most, picked):
    assert evenly(range(count), most) == picked
