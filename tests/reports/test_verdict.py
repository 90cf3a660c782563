from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.sources import read_sources
from cars_bench.reports.verdict import percent, plural, verdict


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        ("prepared", "cars-bench extract"),
        ("extracted", "cars-bench tune --trials 100"),
        ("tuned", "cars-bench finetune --best --study drawn-tiny"),
        ("finetuned", ""),
    ],
)
def test_the_next_command_follows_the_stage(drawn, stage, command):
    found = verdict(read_sources(drawn(stage)))
    assert (found.stage, found.next_command) == (stage, command)


def test_the_ladder_climbs_from_chance_over_probes_to_the_test_accuracy(finished):
    kinds = [rung.kind for rung in verdict(finished).rungs]
    assert kinds == ["chance", *["probe"] * 3, *["frozen"] * 2, *["finetuned"] * 2]


def test_chance_is_one_in_the_number_of_classes(finished):
    assert verdict(finished).rungs[0].value == pytest.approx(1 / 6)


def test_the_headline_speaks_of_the_test_images(finished):
    best = verdict(finished).rung("finetuned", "test")
    assert best is not None
    assert verdict(finished).headline.startswith(
        f"The fine-tuned model names {percent(best.value)} of 30 "
    )


def test_failed_trials_and_set_aside_images_are_warned_of(finished):
    texts = " ".join(warning.text for warning in verdict(finished).warnings)
    assert "1 trial failed" in texts
    assert "1 unusable image set aside" in texts


def test_a_dataset_that_changed_since_is_warned_of(finished):
    study = finished.study | {"dataset": {"name": "drawn", "digest": "another"}}
    texts = [warning.text for warning in verdict(replace(finished, study=study)).warnings]
    assert any("changed since" in text for text in texts)


def test_a_missing_probe_is_warned_of(finished):
    board = tuple(row for row in finished.board if row.kind == "trial")
    found = verdict(replace(finished, board=board))
    assert any(warning.fix == "cars-bench probe" for warning in found.warnings)


def test_costs_are_wall_times(finished):
    costs = verdict(finished).cost_seconds
    assert costs["extract"] == pytest.approx(finished.manifest.records / 40, abs=1e-3)
    assert costs["finetune"] == 63.0
    assert costs["search"] == 2.5  # all trials of the drawn ledger ran at the same time


def test_plural():
    assert (plural(1, "trial"), plural(2000, "trial")) == ("1 trial", "2,000 trials")


def test_the_winner_is_shown_by_its_mean_over_new_seeds(drawn):
    sources = read_sources(drawn("tuned"))
    mean = [
        replace(row, score=0.5, low=0.4, high=0.6)
        if row.trial_id == sources.winner.trial_id
        else row
        for row in sources.board
    ]
    said = verdict(replace(sources, board=tuple(mean)))
    rung = said.rung("frozen", "val")
    assert (rung.value, rung.low, rung.high) == (0.5, 0.4, 0.6)
    assert "50.0%" in said.headline
