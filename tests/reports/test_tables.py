from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.sources import read_sources
from cars_bench.reports.tables import cache_facts, data_facts, reproduce, size


def test_every_stage_that_ran_has_its_command(finished):
    commands = reproduce(finished).commands
    assert [command.split()[1] for command in commands] == [
        "prepare", "extract", "tune", "probe", "finetune",
    ]  # fmt: skip
    assert (
        commands[0] == "cars-bench prepare --labels cars.csv --split 65/20/15 --seed 0 --name drawn"
    )
    assert "--trial t0001 --unfreeze conv3 --epochs 10 --lr 0.0001 --seed 0" in commands[-1]


@pytest.mark.parametrize(
    ("how", "option"),
    [
        ("the source's own", "--split column"),
        ("50/25/25, stratified", "--split 50/25/25"),
        ("", ""),
    ],
)
def test_the_split_is_asked_for_as_it_was_made(finished, how, option):
    card = finished.dataset.card | {"split": {"how": how, "seed": 3}}
    sources = replace(finished, dataset=replace(finished.dataset, card=card))
    command = reproduce(sources).commands[0]
    assert option in command
    assert ("--split" in command) == bool(option)


def test_a_drawn_dataset_is_reproduced_by_demo(finished):
    source = {"labels": str(finished.dataset.folder / "images" / "labels.csv")}
    card = finished.dataset.card | {"source": source}
    sources = replace(finished, dataset=replace(finished.dataset, card=card))
    assert reproduce(sources).commands[0].startswith("cars-bench prepare --demo")


def test_names_with_spaces_are_quoted_for_a_shell(finished):
    source = {"labels": "my cars.csv", "images": "a b"}
    card = finished.dataset.card | {"source": source}
    sources = replace(finished, dataset=replace(finished.dataset, card=card))
    assert "--labels 'my cars.csv' --images 'a b'" in reproduce(sources).commands[0]


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


def test_nothing_is_said_of_a_cache_that_is_not_there(drawn):
    assert cache_facts(read_sources(drawn("prepared"))) is None


@pytest.mark.parametrize(
    ("count", "text"), [(812, "812 B"), (3_400_000, "3.4 MB"), (7e12, "7000.0 GB")]
)
def test_sizes_read_as_people_say_them(count, text):
    assert size(count) == text
