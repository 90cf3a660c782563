"""`prepare` and `extract` from Python: the commands' numbers, and features as arrays and tensors.

Covers cars_bench/cache/tensors.py, cars_bench/results/data.py.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import cars_bench
from cars_bench.cli.extract import extract
from cars_bench.cli.prepare import prepare
from cars_bench.cli.session import Session
from cars_bench.errors import UsageError
from tests.cache.helpers import feature, write_cache

COUNTS = {"train": 9, "val": 4, "test": 3}
VIEWS = 3
SHAPE = (5,)


@pytest.fixture
def cache(workspace):
    write_cache(workspace, COUNTS, VIEWS, SHAPE)
    return cars_bench.open_cache(workspace=workspace.root)


def printed(capsys, workspace, command, **options) -> dict:
    capsys.readouterr()
    session = Session(workspace, json_output=True, quiet=True)
    assert session.run(lambda: command(session, **options)) == 0
    return json.loads(capsys.readouterr().out)


def test_prepare_counts_what_the_command_counts(workspace, tiny_source, capsys):
    asked = {"source": tiny_source, "crop": "boxes", "name": "tiny"}
    dataset = cars_bench.prepare(**asked, workspace=workspace.root, quiet=True)
    document = printed(capsys, workspace, prepare, **asked)
    assert document["digest"] == dataset.dataset.digest
    assert document["images"] == len(dataset.table) == dataset.counts().to_numpy().sum()
    assert document["split"]["counts"] == dataset.counts().sum().to_dict()
    assert "60 images of 4 classes" in dataset._repr_html_()
    assert "60 images of 4 classes" in repr(dataset)


@pytest.mark.parametrize("family", ["family", ["family"]])
def test_a_column_of_groups_may_be_given_as_one_name(workspace, tiny_source, tmp_path, family):
    rows = (tiny_source / "labels.csv").read_text().splitlines()
    path = tmp_path / "labels.csv"
    families = ["family", *("round" if row.endswith("disc") else "straight" for row in rows[1:])]
    path.write_text("\n".join(map(",".join, zip(rows, families, strict=True))))
    asked = {"labels": path, "images": tiny_source / "images", "columns": "filename,car_names"}
    dataset = cars_bench.prepare(**asked, group_column=family, workspace=workspace.root, quiet=True)
    assert set(dataset.card.groups) == {"family"}


def test_extract_makes_the_cache_that_the_command_finds(workspace, tiny_dataset, capsys):
    asked = {
        "backbone": "tiny", "weights": "none", "image_size": 48, "runtime": "tensorflow",
        "views": 2,
    }  # fmt: skip
    cache = cars_bench.extract(**asked, workspace=workspace.root, quiet=True)
    document = printed(capsys, workspace, extract, **asked)
    assert (document["key"], document["written"]) == (cache.cache.key, 0)
    assert document["records"] == cache.extraction.records == 36 * 2 + 12 + 12
    assert "36 train (2 views)" in cache._repr_html_()
    assert "96 new" in repr(cache)


@pytest.mark.parametrize("view", range(VIEWS))
def test_a_view_is_an_array_in_the_order_of_the_images(cache, view):
    found = cache.features("train", view=view)
    assert found.image_ids == sorted(found.image_ids)
    assert found.labels.tolist() == [image % 7 for image in range(COUNTS["train"])]
    expected = np.stack([feature("train", image, view, SHAPE) for image in range(COUNTS["train"])])
    np.testing.assert_array_equal(found.x, expected)


def test_all_views_stand_side_by_side(cache):
    found = cache.features("train", view="all").x
    assert found.shape == (COUNTS["train"], VIEWS, *SHAPE)
    for view in range(VIEWS):
        np.testing.assert_array_equal(found[:, view], cache.features("train", view).x)


@pytest.mark.parametrize("shape", [(5,), (2, 2, 3)], ids=["pooled", "maps"])
@pytest.mark.parametrize(
    ("split", "view"), [("train", 0), ("train", 2), ("train", "all"), ("val", 0)]
)
def test_tensors_are_the_arrays_one_view_after_the_other(workspace, split, view, shape):
    write_cache(workspace, COUNTS, VIEWS, shape)
    cache = cars_bench.open_cache(workspace=workspace.root)
    found = cache.dataset(split, view=view)
    x, labels = (np.stack(part) for part in zip(*found.as_numpy_iterator(), strict=True))
    arrays = cache.features(split, view=view)
    views = arrays.x.shape[1] if view == "all" else 1
    expected = arrays.x.swapaxes(0, 1).reshape(-1, *shape) if view == "all" else arrays.x
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(labels, np.tile(arrays.labels, views))
    assert (x.dtype, len(found)) == (arrays.x.dtype, len(x))


@pytest.mark.parametrize(
    ("split", "view", "said"),
    [("train", 3, "3 views of train, and no view 3"), ("val", 1, "1 view of val"),
     ("holdout", 0, "no split 'holdout'"), ("train", "each", "no view 'each'")],
)  # fmt: skip
def test_a_split_or_view_that_is_not_there_is_refused(cache, split, view, said):
    for ask in (cache.features, cache.dataset):
        with pytest.raises(UsageError, match=said):
            ask(split, view=view)
