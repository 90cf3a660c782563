"""What a worker says of its jobs, and how it goes on with a long one."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.documents import from_json
from cars_bench.errors import CarsBenchError, TrialFailed
from cars_bench.training import loop
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import Ledger, Trial, TrialOutcome
from cars_bench.tuning.ranking import unpack
from cars_bench.tuning.study import Study
from cars_bench.tuning.worker import Worker, reason_of
from cars_bench.tuning.worker_pool import TrainingJob, WorkerConfig, memory_as_needed, thread_limits
from tests.tuning.studies import make_cache

EPOCHS = 5


class Killed(BaseException):
    """Stands for a SIGKILL."""


@pytest.fixture
def config(workspace, tiny_dataset):
    cache = make_cache(workspace, tiny_dataset)
    return WorkerConfig(
        workspace=str(workspace.root),
        study="mine",
        cache_key=cache.key,
        classes=4,
        checkpoint_after_seconds=0.0,
    )


@pytest.fixture
def job(tmp_path):
    head = HeadSpec(layers=(DenseLayer(8, batch_norm=True, dropout=0.2),))
    training = TrainingSpec(batch_size=16, epochs=EPOCHS, patience_epochs=0, learning_rate=0.01)
    checkpoint = str(tmp_path / "running" / "t0000.npz")
    return TrainingJob(
        kind="trial", trial_id="t0000", head=head, training=training, seed=3, checkpoint=checkpoint
    )


def said_of(config, job, killed_after=None):
    """Everything that a fresh worker says of a job, strict JSON; killed after an epoch."""
    heard = []

    def say(what, **details):
        heard.append(json.loads(json.dumps({"say": what} | details, allow_nan=False)))
        if what == "epoch" and details["epoch"] == killed_after:
            raise Killed

    with contextlib.suppress(Killed):
        Worker(config, say).run(job)
    return heard


def outcome(messages):
    return {k: v for k, v in messages[-1].items() if k not in ("seconds", "memory_bytes")}


def test_it_says_start_every_epoch_and_the_end(config, job):
    heard = said_of(config, job)
    events = ["doing", "doing", "started", *["epoch"] * EPOCHS, "completed"]
    assert [item["say"] for item in heard] == events
    assert [item["text"] for item in heard[:2]] == [
        "loading the features",
        "compiling the first heads",
    ]
    end = heard[-1]
    assert unpack(end["correct"]).mean() == pytest.approx(end["score"])
    assert end["low"] <= end["score"] <= end["high"]
    assert end["memory_bytes"] > 0


def test_killed_in_an_epoch_it_goes_on_from_the_last_finished_one(config, job):
    whole = said_of(config, job)
    job = replace(job, checkpoint=job.checkpoint + ".other.npz")
    said_of(config, job, killed_after=3)
    again = said_of(config, job)
    assert again[2] == {"say": "started", "after": 2}
    assert [item["epoch"] for item in again if item["say"] == "epoch"] == [1, 2, 3, 4, 5]
    assert outcome(again) == outcome(whole)


@pytest.mark.parametrize("kept", [True, False])
def test_a_winner_whose_training_is_kept_is_stored_without_another_epoch(
    config, job, workspace, monkeypatch, kept
):
    study = Study.open_or_create(
        workspace, FeatureCache.open(workspace), Dataset.load(workspace), config.study
    )
    job = replace(job, seed=study.trial_seed, checkpoint=str(study.checkpoint(job.trial_id)))
    end = said_of(config, job)[-1]
    with Ledger(study.ledger_path) as ledger:
        trial = Trial(trial_id=job.trial_id, values={}, head=job.head, training=job.training)
        ledger.proposed(trial)
        ledger.ended(trial.ended(from_json(TrialOutcome, end, partly=True)))
    epochs = []
    run_epoch = loop._run_epoch
    monkeypatch.setattr(loop, "_run_epoch", lambda *its: epochs.append(1) or run_epoch(*its))
    if not kept:
        Path(job.checkpoint).unlink()
    stored = said_of(config, TrainingJob(kind="store", trial_id=job.trial_id))[-1]
    assert (stored["say"], stored["score"]) == ("completed", end["score"])
    assert len(epochs) == (0 if kept else EPOCHS)


def test_epochs_that_the_ledger_holds_are_not_said_again(config, job):
    said_of(config, job, killed_after=4)
    again = said_of(config, replace(job, known_epochs=2))
    assert [item["epoch"] for item in again if item["say"] == "epoch"] == [3, 4, 5]


def test_a_failed_training_is_said_with_its_reason(config, job):
    wild = replace(job.training, optimizer="sgd", learning_rate=1e38)
    heard = said_of(config, replace(job, training=wild))
    assert heard[-1]["say"] == "failed"
    assert "the loss became" in heard[-1]["reason"]


def test_a_damaged_checkpoint_is_the_searchs_to_answer_and_no_failed_trial(config, job):
    said_of(config, job, killed_after=3)
    path = Path(job.checkpoint)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CarsBenchError, match="damaged") as caught:
        said_of(config, job)
    assert str(path) in caught.value.fix


@pytest.mark.parametrize("other", [{"seed": 4}, {"training": TrainingSpec(epochs=9)}])
def test_a_checkpoint_of_another_training_is_refused(config, job, other):
    said_of(config, job, killed_after=3)
    with pytest.raises(CarsBenchError, match="another training"):
        said_of(config, replace(job, **other))


def rewritten(path, change):
    """Write a checkpoint again with another identity."""
    with np.load(path) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))
    change(about["identity"])
    np.savez(path, **arrays | {"about": np.array(json.dumps(about))})


def test_a_checkpoint_of_an_older_version_lacks_the_fields_that_came_since(config, job):
    said_of(config, job, killed_after=3)

    def age(identity):
        for name in ("box", "stages", "map_pooling", "penalised"):
            del identity["head"][name]
        for name in ("box_weight", "box_loss"):
            del identity["training"][name]

    rewritten(Path(job.checkpoint), age)
    assert said_of(config, job)[2] == {"say": "started", "after": 2}


def test_a_checkpoint_of_a_newer_version_is_refused(config, job):
    said_of(config, job, killed_after=3)
    rewritten(Path(job.checkpoint), lambda identity: identity["head"].update(shape="round"))
    with pytest.raises(CarsBenchError, match="another training"):
        said_of(config, job)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TrialFailed("the loss became inf in epoch 2"), "the loss became inf in epoch 2"),
        (MemoryError(), "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), "out of memory"),
        (ValueError("shapes differ\nat length"), "ValueError: shapes differ"),
        (RuntimeError(), "RuntimeError: "),
    ],
)
def test_reasons_fit_in_one_line(failure, reason):
    assert reason_of(failure) == reason


@pytest.mark.parametrize(("threads", "said"), [(None, None), (1, "1"), (3, "3")])
def test_a_worker_among_several_is_held_to_its_threads(threads, said):
    limits = thread_limits(threads)
    assert limits.get("OMP_NUM_THREADS") == said
    assert ("XLA_FLAGS" in limits) is (threads == 1)


def test_no_worker_takes_the_memory_of_a_gpu_from_the_others_unless_told_to(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    assert memory_as_needed() == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
