"""Slices by hyperparameter, of a few trials and of a large grid."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cars_bench.reports.sections import search
from cars_bench.reports.sections.hyperparameters import facts
from cars_bench.reports.slices import MOST_POINTS, shown, slices, slices_table, ticks
from cars_bench.reports.varied import Hyperparameter, Varied, hyperparameters
from cars_bench.tuning.hyperparameters import Hyperparameter as Dimension
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.space import Space


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 3, False, [0, 1, 2, 3]),
        (0, 9, False, [0, 4, 9]),
        (64, 1024, True, [64, 256, 1024]),
        (64, 512, True, [64, 181, 512]),
    ],
)
def test_whole_numbers_have_whole_ticks(low, high, log, expected):
    item = Hyperparameter(
        name="units", kind="number", log=log, low=low, high=high, values={}, integer=True
    )
    assert ticks(item) == expected
    assert all(isinstance(tick, int) for tick in ticks(item))


def test_slices_are_a_figure_each_and_mark_the_winner(finished):
    varied = search.facts(finished).varied
    drawn = slices(varied)
    assert drawn.count("<svg ") == len(varied.hyperparameters) == 4
    values = next(item for item in varied.hyperparameters if item.name == "optimizer").values
    assert f"the winner has {values[varied.winner]}" in drawn
    assert drawn.count("var(--vermillion)") >= 4


def test_slices_hold_every_hyperparameter_that_varied_best_trial_first(report):
    written = slices_table(report.search.varied)
    assert set(written.headings[2:]) == {"depth", "learning_rate", "optimizer", "dropout"}
    assert len(written.rows) == 29
    scores = [float(row[1].rstrip("%")) for row in written.rows]
    assert scores == sorted(scores, reverse=True)


GRID = {
    "batch_size": [16, 32],
    "dropout": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
    "flip": [False, True],
    "rotation": [0.025, 0.1, 0.2],
    "learning_rate": [0.001, 0.01, 0.025],
    "epsilon": [0.0001, 0.1],
    "l1": [0.0, 0.01],
    "l2": [0.0, 0.01],
}
"""Eight choices, as a published grid has them: 1,728 trials if all are tried."""


def _grid(every: int) -> tuple[list[Trial], Space]:
    """Every so many-th trial of the grid; the rate and the penalty decide what it scores."""
    points = list(itertools.product(*GRID.values()))[::every]
    trials = []
    for number, values in enumerate(points):
        point = dict(zip(GRID, values, strict=True))
        score = 0.6 - 8 * point["learning_rate"] - 15 * point["l1"] - 0.02 * point["dropout"]
        trials.append(
            Trial(trial_id=f"t{number:04d}", number=number, values=point, score=score,
                  status="completed")
        )  # fmt: skip
    dimensions = (
        Dimension(name=name, kind="choice", values=tuple(values)) for name, values in GRID.items()
    )
    return trials, Space(name="grid", hyperparameters=tuple(dimensions), fixed={}, document={})


def test_a_grid_of_eight_choices_is_drawn_whole():
    trials, space = _grid(7)
    items = hyperparameters(trials, space)
    assert [item.name for item in items] == list(GRID)
    assert all(item.kind == "choice" for item in items)
    varied = Varied(tuple(items), {t.trial_id: t.score for t in trials}, "t0000")
    found = facts(varied)
    assert [item.name for item in found.overall[:2]] == ["learning_rate", "l1"]
    drawn = slices(varied)
    assert drawn.count("<svg") == len(GRID)
    assert len(drawn) < 90 * len(trials) * len(GRID)
    assert len(slices_table(varied).headings) == 2 + len(GRID)


def test_of_a_whole_grid_some_trials_are_shown_the_winner_among_them():
    trials, space = _grid(1)
    scores = {trial.trial_id: trial.score for trial in trials}
    winner = sorted(scores, key=scores.get)[1]  # no rank that is shown anyway
    varied = Varied(tuple(hyperparameters(trials, space)), scores, winner)
    for item in varied.hyperparameters:
        points = shown(item, varied)
        assert winner in points
        assert MOST_POINTS <= len(points) <= MOST_POINTS + 1
    drawn = slices(replace(varied, hyperparameters=(item,)))
    assert f"of {len(trials):,} trials by" in drawn
    assert f"Of {len(trials):,} trials each slice shows about {MOST_POINTS}" in drawn
