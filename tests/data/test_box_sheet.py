from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.data.box_sheet import LINE_COLOUR, boxed, shown, write_sheet
from cars_bench.data.dataset import Dataset, LabelledImage


@pytest.fixture
def image(tmp_path: Path) -> LabelledImage:
    path = tmp_path / "wide.png"
    Image.new("RGB", (400, 200), (60, 60, 60)).save(path)
    return LabelledImage(
        image_id="wide.png",
        path=path,
        class_name="a",
        split="train",
        box=(100, 50, 300, 150),
        width=400,
        height=200,
    )


def test_the_box_is_drawn_where_it_lies_in_the_whole_picture(image: LabelledImage) -> None:
    drawn = boxed(image, 100)
    assert drawn
    assert drawn.size == (100, 50)
    down, across = np.nonzero((np.asarray(drawn) == LINE_COLOUR).all(axis=-1))
    assert (across.min(), across.max()) == (25, 75)
    assert (down.min(), down.max()) in ((12, 37), (13, 37), (12, 38))


def test_a_picture_without_a_box_is_drawn_without_one(image: LabelledImage) -> None:
    drawn = boxed(replace(image, box=None), 100)
    assert drawn
    assert not (np.asarray(drawn) == LINE_COLOUR).all(axis=-1).any()


def test_a_picture_that_is_gone_is_left_out(image: LabelledImage) -> None:
    assert boxed(replace(image, path=Path("gone.png")), 100) is None


def test_pictures_without_a_box_come_first_and_are_not_all(tiny_dataset: Dataset) -> None:
    table = tiny_dataset.table.copy()
    table.loc[table["split"] == "train", ["x1", "y1", "x2", "y2"]] = np.nan
    picked = shown(replace(tiny_dataset, table=table), 12)
    assert [item.box is None for item in picked] == [True] * 4 + [False] * 8
    assert len({item.image_id for item in picked}) == 12


def test_the_sheet_stands_beside_the_table(tiny_dataset: Dataset) -> None:
    path = write_sheet(tiny_dataset)
    assert path == tiny_dataset.folder / "boxes.webp"
    assert Image.open(path).size == (8 * 160, 6 * 160)
