"""What the most frequent class alone scores."""

from __future__ import annotations

from cars_bench.evaluation.majority import majority
from cars_bench.evaluation.metrics import wilson

COUNTS = {
    "a": {"train": 3, "val": 1, "test": 6},
    "b": {"train": 5, "val": 0, "test": 2},
    "c": {"train": 5, "val": 1, "test": 2},
}


def test_the_class_is_told_by_the_training_images_and_scored_on_the_split():
    found = majority(COUNTS, "test")
    assert found is not None
    assert (found.class_name, found.share, found.n) == ("b", wilson(2, 10), 10)


def test_an_empty_split_has_no_share():
    empty = {name: counts | {"test": 0} for name, counts in COUNTS.items()}
    assert majority(empty, "test") is None
