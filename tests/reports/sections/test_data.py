from __future__ import annotations

from cars_bench.reports.sections.data import facts


def test_counts_by_class_and_split_add_up(finished):
    found = facts(finished)
    assert found is not None
    assert found.splits == {"train": 42, "val": 18, "test": 30}
    assert sum(row.total for row in found.classes) == found.images == 90
    assert found.quarantined[0][1] == "it is HTML"
