"""The ledger that a search writes, with workers that answers without training."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from cars_bench.errors import CarsBenchError, NoTrialCompleted
from cars_bench.progress import PlainProgress, Progress
from cars_bench.training.checkpoint import EpochResult, TrainingState, write_checkpoint
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.hyperparameters import specs_of
from cars_bench.tuning.ledger import Ledger, Trial, read_trials
from cars_bench.tuning.oracles import Proposer
from cars_bench.tuning.proposals import Proposals
from cars_bench.tuning.scheduling import (
    FAILURES_IN_A_ROW,
    Board,
    Repeats,
    Trials,
    tidy_checkpoints,
)
from cars_bench.tuning.space import parse_space
from cars_bench.tuning.worker_pool import TrainingJob
from tests.tuning.studies import SPACE, NoWorkers, begin_trial, results, write_study, write_trial


def completed(job):
    rate = job.training.learning_rate
    return {"say": "completed", "score": rate, "low": rate, "high": rate, "best_epoch": 1,
            "parameters": 1, "seconds": 1.0}  # fmt: skip


def failed(job):
    return {"say": "failed", "reason": "the loss became nan in epoch 1", "seconds": 0.1}


def run(
    study,
    total,
    answer=completed,
    size=1,
    stop=lambda: False,
    oracle="bayesian",
    progress=None,
):
    """Run a study's trials; returns what ran them."""
    space = parse_space(SPACE)
    known = [item.values for item in study.trials()]
    with Ledger(study.ledger_path) as ledger:
        proposals = Proposals(Proposer(space, oracle, 0, 4), 4, total, known)
        pool = NoWorkers(answer, size)
        trials = Trials(study, ledger, proposals, progress or Progress())
        trials.run(pool, lambda values: specs_of({**space.fixed, **values}), stop)
    return pool


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_any_number_of_workers_writes_the_same_results(tmp_path, size):
    alone, company = (write_study(tmp_path / name) for name in ("alone", "company"))
    run(alone, 9)
    run(company, 9, size=size)
    assert results(company.ledger_path) == results(alone.ledger_path)


def test_cut_after_any_line_the_same_call_ends_alike_and_runs_nothing_twice(tmp_path):
    whole = write_study(tmp_path / "whole")
    run(whole, 6, size=2)
    lines = whole.ledger_path.read_bytes().splitlines(keepends=True)
    for kept in range(0, len(lines), 3):
        study = write_study(tmp_path / f"cut{kept}")
        study.ledger_path.write_bytes(b"".join(lines[:kept]))
        done = {item.trial_id for item in study.trials() if item.status != "running"}
        pool = run(study, 6, size=2)
        assert not done & {job.trial_id for job in pool.done}
        assert results(study.ledger_path) == results(whole.ledger_path)


def test_a_failed_trial_is_recorded_and_the_search_goes_on(study):
    run(study, 5, lambda job: failed(job) if job.trial_id == "t0001" else completed(job))
    statuses = [item.status for item in read_trials(study.ledger_path)]
    assert statuses == ["completed", "failed", *["completed"] * 3]
    assert "nan" in study.trials()[1].reason


def test_ten_failures_in_a_row_stop_the_search_with_their_common_cause(study):
    with pytest.raises(NoTrialCompleted, match="the loss became nan"):
        run(study, 50, failed)
    assert len(study.trials()) == FAILURES_IN_A_ROW


def test_after_a_completed_trial_ten_failures_are_an_ordinary_failure(study):
    with pytest.raises(CarsBenchError, match="10 trials") as caught:
        run(study, 50, lambda job: completed(job) if job.trial_id == "t0000" else failed(job))
    assert caught.value.code == 1


def test_asked_to_stop_it_lets_running_trials_end_and_begins_no_other(study):
    asked = []

    def answer(job):
        asked.append(job)
        return completed(job)

    run(study, 8, answer, size=2, stop=lambda: len(asked) >= 3)
    assert {item.status for item in study.trials()} == {"completed"}
    assert len(study.trials()) == 4


def repeated(study, count, answer=completed):
    with Ledger(study.ledger_path) as ledger:
        repeats = Repeats(study, ledger, count, Progress())
        pool = NoWorkers(answer)
        repeats.run(pool, lambda: False)
    return [(job.trial_id, job.repeat, job.seed) for job in pool.done]


def test_the_best_are_trained_again_with_seeds_of_their_own(study):
    run(study, 7)
    best = sorted(study.trials(), key=lambda item: -item.score)[:5]
    seeds = {(trial_id, repeat): seed for trial_id, repeat, seed in repeated(study, 2)}
    assert {trial_id for trial_id, _ in seeds} == {item.trial_id for item in best}
    assert {repeat for _, repeat in seeds} == {1, 2}
    assert all(seed == study.repeat_seed(repeat) for (_, repeat), seed in seeds.items())
    assert repeated(study, 2) == []
    assert {repeat for _, repeat, _ in repeated(study, 3)} == {3}


def test_a_failed_repeat_is_one_without_a_score(study):
    run(study, 1)
    repeated(study, 1, failed)
    (again,) = study.trials()[0].repeats
    assert (again.score, again.reason) == (None, "the loss became nan in epoch 1")
    assert study.trials()[0].status == "completed"


def test_what_a_worker_that_starts_does_is_told_and_not_written(study):
    stream = io.StringIO()
    run(study, 1, progress=PlainProgress(stream))
    assert stream.getvalue().splitlines()[:2] == ["Tuning (1 trial)", "  loading the features"]
    assert "loading" not in study.ledger_path.read_text()


def test_the_table_shows_the_best_few_first():
    told = []
    task = SimpleNamespace(
        advance=lambda note, earlier: told.append((note, earlier)),
        line=told.append,
        table=lambda columns, rows: told.append([row[0] for row in rows]),
    )
    board = Board(task)
    for number, score in enumerate((0.5, 0.7, 0.6, 0.1, 0.2, 0.3)):
        head = HeadSpec()
        trial = Trial(trial_id=f"t{number}", values={}, head=head, score=score, low=0.0, high=1.0)
        board.count(trial)
    assert told[-2] == ["t1", "t2", "t0", "t5", "t4"]
    assert told[-1].endswith("best training 70.0% (t1)")
    board.count(Trial(trial_id="t6", values={}, reason="out of memory"), earlier=True)
    assert told[-2:] == [("t6 failed", True), "t6  failed: out of memory"]


def test_epochs_are_told_where_nothing_else_was_for_a_while():
    told = []
    task = SimpleNamespace(line=told.append)
    job = TrainingJob(kind="trial", trial_id="t0000", training=TrainingSpec(epochs=16))
    row = EpochResult(epoch=2, train_loss=4.5, val_loss=4.4, val_top1=0.081, learning_rate=0.001,
                      seconds=30.0)  # fmt: skip
    Board(task).epoch(job, row)
    assert told == []
    Board(task, silent_seconds=0.0).epoch(job, row)
    (line,) = told
    assert line == (
        "t0000 epoch 2 of 16  loss 4.5000  val top-1 8.1%  30.0 s, at most 7 min 00 s left of it"
    )


@pytest.mark.parametrize(
    ("second", "left"),
    [(None, {"t0000", "t0000-repeat2", "t0001"}), (0.9, {"t0000-repeat2", "t0001"}),
     (0.1, {"t0000", "t0000-repeat2"})],
)  # fmt: skip
def test_checkpoints_of_what_has_ended_are_deleted_but_the_best_trials_own(tmp_path, second, left):
    study = write_study(tmp_path / "study")
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, np.array([True, False]), repeats=(np.ones(2, bool),))
        if second is None:
            begin_trial(ledger, 1)
        else:
            write_trial(ledger, 1, score=second)
    for trial_id, repeat in (("t0000", 0), ("t0000", 1), ("t0000", 2), ("t0001", 0)):
        write_checkpoint(study.checkpoint(trial_id, repeat), TrainingState.untrained(), {})
    tidy_checkpoints(study, study.trials())
    assert {path.stem for path in study.running.iterdir()} == left
