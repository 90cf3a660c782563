"""The dataset on disk: what is stored, what is derived, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from cars_bench.data.dataset import COLUMNS, Dataset, digest_of, write_dataset
from cars_bench.errors import DatasetMissing
from cars_bench.workspace import Workspace


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
    cropped = dataclasses.replace(tiny_dataset, card=tiny_dataset.card | {"crop": "boxes"})
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


def test_none_prepared_is_said(workspace):
    with pytest.raises(DatasetMissing, match="No dataset has been prepared"):
        Dataset.load(workspace)


def test_an_unknown_name_lists_the_known_ones(workspace, tiny_dataset):
    with pytest.raises(DatasetMissing, match="there are: tiny"):
        Dataset.load(workspace, "other")


def test_a_folder_without_its_card_is_no_dataset(workspace, tiny_dataset):
    (tiny_dataset.folder / "card.json").unlink()
    with pytest.raises(DatasetMissing):
        Dataset.load(workspace)


def test_an_edited_table_is_refused(workspace, tiny_dataset):
    path = tiny_dataset.folder / "dataset.csv"
    path.write_text(path.read_text().replace(",train,", ",test,", 1))
    with pytest.raises(DatasetMissing, match="edited"):
        Dataset.load(workspace)


def test_card_is_strict_json_with_a_schema_version(tiny_dataset):
    card = json.loads((tiny_dataset.folder / "card.json").read_text())
    assert card["schema_version"] == 1
    assert card["class_counts"]["bar"] == {"train": 9, "val": 3, "test": 3}
