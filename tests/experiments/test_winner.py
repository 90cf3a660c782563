"""Attempts that take a former one's winner.

Covers cars_bench/experiments/winner.py and cars_bench/experiments/winner_space.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.checksums import checksum
from cars_bench.errors import ModelMissing, UsageError, WeightsUnavailable
from cars_bench.experiments.experiment import read_experiment
from cars_bench.experiments.record import ExperimentRecord
from cars_bench.experiments.run import run_experiment
from cars_bench.experiments.winner import with_winner
from cars_bench.progress import Progress
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace
from tests.experiments.small import small
from tests.experiments.test_table import attempt

GRID = """\
summary: A grid, and then its winner.
features: {backbone: tiny, weights: none, image_size: 48, runtime: tensorflow}
attempts:
  - name: fixed
    space: {head: {layers: []}}
  - name: grid
    trials: 2
    oracle: grid
    space:
      head: {layers: [{units: 12}]}
      training: {batch_size: 16, epochs: 2, patience_epochs: 0}
      hyperparameters:
        learning_rate: {type: choice, values: [0.02, 0.01]}
  - name: again
    space: {winner_of: grid, training: {epochs: 3}}
  - name: finished
    space: {winner_of: grid}
    finetune: {unfreeze: "last:1", recipe: {views: 1, training: {epochs: 1, batch_size: 16}}}
"""


def test_the_one_trial_has_the_head_and_the_training_that_won(tmp_path: Path, tiny_source: Path):
    experiment = small(tmp_path / "shapes", GRID)
    workspace = Workspace(tmp_path / "w")
    asked = ["grid", "again", "finished"]
    record = run_experiment(workspace, experiment, tiny_source, Progress(), asked)
    grid, again, finished = record.attempts
    won = Study.open(workspace, grid.study).trial(grid.trial_id)
    assert won.training.learning_rate in (0.01, 0.02)
    (trial,) = (item for item in Study.open(workspace, again.study).trials())
    assert trial.head == won.head
    assert trial.training == replace(won.training, epochs=3)
    assert Study.open(workspace, finished.study).trial(finished.trial_id).training == won.training
    assert finished.run


def test_its_digest_covers_the_search_that_it_waits_for(tmp_path: Path):
    before, after = (
        read_experiment(text, tmp_path) for text in (GRID, GRID.replace("units: 12", "units: 13"))
    )
    digests = [[checksum(item.document()) for item in found.planned] for found in (before, after)]
    assert digests[0][0] == digests[1][0]
    assert all(one != other for one, other in zip(digests[0][1:], digests[1][1:], strict=True))
    assert before.planned[2].searched() != before.planned[3].searched()


@pytest.mark.parametrize(
    ("before", "after", "words", "fix"),
    [
        ("winner_of: grid, tr", "winner_of: grip, tr", ("line 15", "grip"), "grid"),
        ("winner_of: grid, tr", "winner_of: finished, tr", ("line 15", "above"), "grid"),
        ("winner_of: grid, tr", "winner_of: fixed, tr", ("line 15", "with a search"), "grid"),
        ("winner_of: grid}", "winner_of: again}", ("line 17", "with a search"), "grid"),
        ("grid, training:", "grid, head:", ("line 15", "head", "winner_of"), "drop head"),
        ("epochs: 3", "epoch: 3", ("line 15", "epoch"), "epochs"),
        ("space: {head: {layers: []}}", "space: {winner_of: grid}", ("line 5", "grid"), "space"),
    ],
)
def test_what_is_no_former_search_is_refused_by_line(before, after, words, fix, tmp_path: Path):
    assert before in GRID
    with pytest.raises(UsageError) as caught:
        read_experiment(GRID.replace(before, after, 1), tmp_path)
    for word in ("config.yml", *words):
        assert word in caught.value.message
    assert fix in caught.value.fix


def test_before_the_search_ended_it_says_whose_winner_is_missing(tmp_path: Path, tiny_source: Path):
    experiment = small(tmp_path / "shapes", GRID)
    workspace = Workspace(tmp_path / "w")
    with pytest.raises(ModelMissing, match="winner of grid") as caught:
        run_experiment(workspace, experiment, tiny_source, Progress(), ["finished"])
    assert "--only grid --only finished" in caught.value.fix
    assert not list(workspace.datasets.glob("[!.]*"))


def test_where_the_search_had_no_weights_its_followers_are_passed_over(tmp_path: Path):
    experiment = read_experiment(GRID, tmp_path)
    lacking = attempt("grid", lacking="no weights")
    record = ExperimentRecord(name="e", summary="s", backbone="tiny", attempts=(lacking,))
    with pytest.raises(WeightsUnavailable, match="no weights"):
        with_winner(Workspace(tmp_path), record, experiment.planned[2])
