from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.inputs import read_sources
from cars_bench.reports.tables import cache_facts, data_facts, policy, size


def test_counts_by_class_and_split_add_up(finished):
    facts = data_facts(finished)
    assert facts is not None
    assert facts.splits == {"train": 42, "val": 18, "test": 30}
    assert sum(row.total for row in facts.classes) == facts.images == 90
    assert facts.quarantined[0][1] == "it is HTML"


def test_the_cache_card_counts_records_and_bytes(finished):
    facts = cache_facts(finished)
    assert facts is not None
    assert facts.records == 90
    assert dict(facts.facts)["Feature"] == "16, float32"
    assert dict(facts.facts)["Speed"] == "40 images/s"


def test_a_cache_of_the_plain_view_has_no_augmentation_to_speak_of(finished):
    extraction = replace(finished.manifest.extraction, augment="default")
    manifest = replace(finished.manifest, extraction=extraction)
    facts = cache_facts(replace(finished, manifest=manifest))
    assert dict(facts.facts)["Augmentation"] == "none (plain view only)"
    second = [replace(shard, view=1) for shard in manifest.select("train", 0)]
    assert policy(replace(manifest, shards=(*manifest.shards, *second))) == "default"


def test_nothing_is_said_of_a_cache_that_is_not_there(drawn):
    assert cache_facts(read_sources(drawn("prepared"))) is None


@pytest.mark.parametrize(
    ("count", "text"), [(812, "812 B"), (3_400_000, "3.4 MB"), (7e12, "7000.0 GB")]
)
def test_sizes_read_as_people_say_them(count, text):
    assert size(count) == text
