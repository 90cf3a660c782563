"""Stratified splits: shares kept in the whole and in each class."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.data.splits import parse_split, stratified
from cars_bench.errors import UsageError

SHARES = {"train": 0.65, "val": 0.20, "test": 0.15}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(0, 3))
def test_shares_hold_in_the_whole_and_in_each_class(sizes, seed):
    classes = [f"c{number}" for number, size in enumerate(sizes) for _ in range(size)]
    ids = [f"{number}.jpg" for number in range(len(classes))]
    splits = stratified(ids, classes, SHARES, seed)
    for name, size in zip(dict.fromkeys(classes), sizes, strict=True):
        own = Counter(split for split, c in zip(splits, classes, strict=True) if c == name)
        assert own["train"] >= 1
        assert all(abs(own[key] - share * size) <= 2 for key, share in SHARES.items())
    if min(sizes) >= 10:
        total = Counter(splits)
        assert all(abs(total[key] - s * len(ids)) <= 3 for key, s in SHARES.items())


def test_order_of_the_rows_does_not_matter_and_the_seed_does():
    ids, classes = [f"{n}" for n in range(100)], [f"{n % 4}" for n in range(100)]
    first = dict(zip(ids, stratified(ids, classes, SHARES, 0), strict=True))
    back = stratified(ids[::-1], classes[::-1], SHARES, 0)
    assert dict(zip(ids[::-1], back, strict=True)) == first
    assert stratified(ids, classes, SHARES, 1) != list(first.values())


def test_percentages_are_read():
    assert parse_split("65/20/15") == pytest.approx(SHARES)


@pytest.mark.parametrize(
    "text", ["", "65/20", "65/20/20", "100/0/0", "a/b/c", "-5/90/15", "nan/1/2"]
)
def test_bad_percentages_are_refused(text):
    with pytest.raises(UsageError, match="--split"):
        parse_split(text)
