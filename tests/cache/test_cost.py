from __future__ import annotations

import pytest

from cars_bench.cache.cost import Cost, add_cost, cost_path, read_cost
from cars_bench.cache.extract import extract
from cars_bench.cache.store import remove
from cars_bench.progress import Progress
from tests.cache.conftest import TINY


def test_a_pass_counts_what_it_computes_and_nothing_twice(workspace, tiny_dataset):
    key = extract(workspace, TINY, Progress()).key
    cost = read_cost(workspace, key)
    assert cost.images == 60 + 36
    assert cost.seconds > 0
    extract(workspace, TINY, Progress())
    assert read_cost(workspace, key) == cost


def test_it_goes_with_its_cache(workspace, tiny_dataset):
    key = extract(workspace, TINY, Progress()).key
    remove(workspace, key)
    assert read_cost(workspace, key) == Cost()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"images": 1, "hours": 2}'])
def test_a_damaged_record_counts_as_none(workspace, text):
    add_cost(workspace, "key", 5, 2.0)
    assert read_cost(workspace, "key").images_per_second == 2.5
    cost_path(workspace, "key").write_text(text)
    assert read_cost(workspace, "key").images_per_second == 0
