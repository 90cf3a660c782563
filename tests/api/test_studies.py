"""`tune` and `open_study` from Python: the numbers that `trials` prints.

Covers cars_bench/results/study.py.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import cars_bench
from cars_bench.api.places import whole
from cars_bench.cli.session import Session
from cars_bench.cli.trials import trials
from cars_bench.errors import NoTrialCompleted, UsageError
from tests.tuning.studies import write_study

HOSTILE = "</td><script>alert(1)</script>"


def test_a_study_tells_what_trials_tells(tuned, capsys):
    study = cars_bench.open_study(workspace=tuned.root)
    probes = study.probe(quiet=True)
    capsys.readouterr()
    session = Session(tuned, json_output=True, quiet=True)
    assert session.run(lambda: trials(session)) == 0
    document = json.loads(capsys.readouterr().out)
    board = study.leaderboard()
    for name in ("trial_id", "score", "low", "high", "tied", "epochs"):
        assert board[name].tolist() == [row[name] for row in document["trials"]]
    assert document["winners_curse"]["trial_id"] == study.winner.trial_id
    assert document["winners_curse"]["expected_drop"] == study.winners_curse.expected_drop
    assert set(probes["trial_id"]) == {"probe-ridge", "probe-logistic", "probe-knn"}
    assert probes["score"].tolist() == board[board["kind"] == "probe"]["score"].tolist()


def test_curves_hold_every_epoch_of_every_trial(tuned):
    study = cars_bench.open_study(workspace=tuned.root)
    board = study.leaderboard().set_index("trial_id")
    assert study.curves().groupby("trial_id").size().to_dict() == board["epochs"].to_dict()
    assert study.models() == ()


def test_tune_goes_on_where_a_search_stopped(tuned):
    name = cars_bench.open_study(workspace=tuned.root).study.name
    backend = cars_bench.open_study(workspace=tuned.root).study.record.backend
    asked = {"space": "quick", "epochs": 4, "study": name, "workspace": tuned.root, "quiet": True}
    if backend != cars_bench.keras_backend.wanted("jax", "tensorflow"):
        pytest.skip("the shared study was searched on another backend")
    study = cars_bench.tune(trials=3, **asked)
    assert len(study.leaderboard()) == 3
    with pytest.raises(UsageError, match="another seed"):
        cars_bench.tune(trials=3, seed=5, **asked)


@pytest.mark.parametrize("options", [{"trials": 0}, {"workers": 0}, {"seed": -1}, {"repeats": -1}])
def test_numbers_that_cannot_be_are_refused_as_on_the_command_line(options, tmp_path):
    with pytest.raises(UsageError, match=next(iter(options))):
        cars_bench.tune(**options, workspace=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("call", "options"),
    [("tune", {"trials": 2.5}), ("tune", {"trials": "3"}), ("tune", {"workers": 1.0}),
     ("extract", {"views": 2.0}), ("extract", {"image_size": "48"}), ("prepare", {"seed": 0.5}),
     ("finetune", {"best": True, "epochs": 1.5})],
)  # fmt: skip
def test_what_is_no_whole_number_is_refused_before_anything_is_written(call, options, tmp_path):
    with pytest.raises(UsageError, match="must be a whole number"):
        getattr(cars_bench, call)(**options, workspace=tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


def test_whole_numbers_of_numpy_are_taken_as_they_are():
    (found,) = whole(trials=np.int64(3)).values()
    assert (type(found), found) == (int, 3)


def test_a_study_without_trials_shows_itself_and_has_no_winner(workspace):
    write_study(workspace.studies / "mine", class_names=(HOSTILE, "b"))
    study = cars_bench.open_study("mine", workspace=workspace.root)
    assert study.leaderboard().empty
    assert "study mine" in study._repr_html_()
    with pytest.raises(NoTrialCompleted):
        study.winner  # noqa: B018
    assert study.winners_curse is None


def test_a_panel_shows_the_first_rows_with_their_intervals(tuned):
    study = cars_bench.open_study(workspace=tuned.root)
    first = study.leaderboard().iloc[0]
    shown = study._repr_html_()
    assert first["trial_id"] in shown
    assert f"{first['score']:.1%}" in shown
    assert str(tuned.root) not in shown
