"""`tune` with real workers: killed, failing, on a changed cache, without the test split."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.progress import Progress
from cars_bench.training.checkpoint import TrainingState, write_checkpoint
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.space import parse_space
from cars_bench.tuning.stored_head import stored_winner
from cars_bench.tuning.study import Study, study_names
from cars_bench.tuning.worker_pool import WorkerPool
from tests.tuning.searches import TRIALS, children, command, ended, wait_for
from tests.tuning.studies import make_cache

WILD = """
fixed: {epochs: 2, batch_size: 16, optimizer: sgd, learning_rate: RATE}
hyperparameters: {features_dropout: {type: float, min: 0.0, max: 0.5}}
"""


def test_an_unknown_refit_is_refused_before_anything_is_read(workspace):
    with pytest.raises(UsageError, match="refit"):
        tune(workspace, TuneOptions(refit="test"), Progress())


@pytest.mark.parametrize(
    ("text", "crop", "said", "fix"),
    [
        ("head: {stages: [{filters: 8}]}", "none", "Convolutions need a map", "--pooling none"),
        ("head: {box: true}", "boxes", "are cut to their boxes", "--crop none"),
        ("hyperparameters: {box: {type: choice, values: [false, true]}}", "boxes", "are cut",
         "--crop none"),
    ],
)  # fmt: skip
def test_heads_that_the_features_cannot_train_are_refused_before_a_study_is_begun(
    workspace, tiny_source, text, crop, said, fix
):
    options = PrepareOptions(source=tiny_source, name="tiny", crop=crop)
    make_cache(workspace, prepare(workspace, options, Progress()))
    with pytest.raises(UsageError, match=said) as caught:
        tune(workspace, TuneOptions(space=parse_space(text)), Progress())
    assert fix in caught.value.fix
    assert caught.value.code == 2
    assert not workspace.studies.exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_stops_the_search_until_it_is_deleted(cached, space):
    assert ended(command(cached, space, "--workers", "1"))[0] == 0
    study = Study.open(cached)
    forget_end(study, "t0001")
    path = study.checkpoint("t0001")
    write_checkpoint(path, TrainingState.untrained(), {})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, said = ended(command(cached, space))
    assert (code, said["error"]["code"]) == (4, 4)
    assert said["error"]["message"].startswith(f"{path} is damaged")
    assert said["error"]["fix"].startswith(f"delete {path}")
    assert "failed" not in {item.status for item in study.trials()}
    path.unlink()
    code, said = ended(command(cached, space))
    assert (code, said["run"]) == (0, TRIALS)


def forget_end(study: Study, trial_id: str) -> None:
    """Cut the ledger before the end of a trial, as if it had been killed there."""
    lines = study.ledger_path.read_text().splitlines(keepends=True)
    words = f'"completed", "trial_id": "{trial_id}"'
    end = next(number for number, line in enumerate(lines) if words in line)
    study.ledger_path.write_text("".join(lines[:end]))


def test_checkpoints_without_their_ledger_are_refused_before_anything_is_trained(cached):
    cache = FeatureCache.open(cached)
    study = Study.open_or_create(cached, cache, Dataset.load(cached), "mine")
    write_checkpoint(study.checkpoint("t0003"), TrainingState.untrained(), {})
    with pytest.raises(CarsBenchError, match=r"t0003\.npz") as caught:
        tune(cached, TuneOptions(study="mine"), Progress())
    assert f"delete {study.running}" in caught.value.fix
    assert study.trials() == ()


def test_where_all_is_done_no_worker_is_begun(tuned, monkeypatch):
    def refused(*_: object) -> None:
        raise AssertionError("a worker was begun")

    monkeypatch.setattr(WorkerPool, "submit", refused)
    (study,) = (Study.open(tuned, name) for name in study_names(tuned))
    again = tune(tuned, TuneOptions(trials=3, space="quick", epochs=4), Progress())
    assert again.head.record == stored_winner(study).record


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(cached, space):
    process = command(cached, space, "--workers", "1")
    worker = wait_for(lambda: children(process.pid), process)
    os.kill(worker[0], signal.SIGKILL)
    code, said = ended(process)
    assert (code, said["run"]) == (0, TRIALS)


@pytest.mark.slow
def test_the_second_ctrl_c_is_not_needed_to_stop_in_order(cached, space):
    process = command(cached, space, trials=200)
    wait_for(lambda: "completed" in _ledgers(cached), process)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert (code, said["error"]["code"]) == (130, 130)
    assert "--trials 200" in said["error"]["fix"]
    study = Study.open(cached)
    assert {item.status for item in study.trials()} == {"completed"}
    assert not (study.folder / "compiled").exists()


@pytest.mark.slow
def test_a_rate_that_blows_up_fails_ten_trials_and_stops(cached, space):
    space.write_text(WILD.replace("RATE", "1.0e+38"))
    code, said = ended(command(cached, space, trials=30))
    assert code == 5
    assert "10 trials in a row failed" in said["error"]["message"]


@pytest.mark.slow
def test_nothing_of_the_test_split_is_opened_and_refit_says_so(cached, space):
    for path in cached.features.glob("*/test-*.tfrecord"):
        path.unlink()
    code, said = ended(command(cached, space, "--refit", "train+val"))
    assert (code, said["refit"]) == (0, "train+val")
    winner = json.loads((Study.open(cached).folder / "winner" / "winner.json").read_text())
    assert (winner["refit"], winner["score"]) == ("train+val", None)
    witness = np.load(Study.open(cached).folder / "winner" / "witness.npz")
    assert len(witness["image_ids"]) == 12


@pytest.mark.slow
def test_a_cache_changed_underneath_is_refused_with_four(cached, space):
    path = next(cached.features.glob("*/train-view00-*.tfrecord"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, said = ended(command(cached, space))
    assert (code, said["error"]["code"]) == (4, 4)
    assert path.name in said["error"]["message"]


def _ledgers(workspace) -> str:
    return "".join(path.read_text() for path in workspace.studies.glob("*/ledger.jsonl"))
