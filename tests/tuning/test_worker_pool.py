"""The pool hands jobs out, hears its workers and replaces those that die or grow."""

from __future__ import annotations

import sys

import pytest

from cars_bench.errors import CacheCorrupt
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning import worker_pool
from cars_bench.tuning.worker_pool import (
    ATTEMPTS,
    GROWTH_BYTES,
    TrainingJob,
    WorkerConfig,
    WorkerPool,
    shared_programs,
)

# Answers a job by its trial's name, without training anything.
WORKER = """
import json, os, sys
config = json.loads(sys.stdin.readline())
jobs = 0
for line in sys.stdin:
    job = json.loads(line)
    jobs += 1
    def say(what, **details):
        print(json.dumps({"say": what} | details), flush=True)
    if job["trial_id"] == "dies" or (job["trial_id"] == "dies once" and job["attempt"] == 0):
        os._exit(7)
    if job["trial_id"] == "stops":
        say("stop", kind="CacheCorrupt", message="a shard is damaged.", fix="extract again")
    say("started", after=job["known_epochs"])
    memory = 10**9 * (job["trial_id"] == "grows")
    say("completed", score=job["head"]["dropout"], pid=os.getpid(), memory_bytes=1 + memory)
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(worker_pool, "WORKER", (sys.executable, str(script)))
    config = WorkerConfig(workspace=str(tmp_path), study="mine", cache_key="k", classes=4)
    said = []
    with WorkerPool(2, config, tmp_path, said.append) as pool:
        pool.said = said
        yield pool


def job(trial_id: str) -> TrainingJob:
    head = HeadSpec(dropout=0.25)
    return TrainingJob(kind="trial", trial_id=trial_id, head=head, training=TrainingSpec())


def heard(pool: WorkerPool) -> list:
    """Everything until all workers rest."""
    messages = []
    while pool.busy:
        messages += [(done.trial_id, message) for done, message in pool.wait()]
    return messages


def ends(pool: WorkerPool) -> dict:
    return {name: message for name, message in heard(pool) if "score" in message}


def test_jobs_are_done_side_by_side_and_their_specs_arrive(pool):
    for trial_id in ("t0", "t1"):
        assert pool.free
        pool.submit(job(trial_id))
    assert not pool.free
    found = ends(pool)
    assert {message["score"] for message in found.values()} == {0.25}
    assert len({message["pid"] for message in found.values()}) == 2
    assert "memory_bytes" not in found["t0"]
    assert not pool.busy


def test_a_worker_at_rest_takes_the_next_job(pool):
    pids = []
    for trial_id in ("t0", "t1"):
        pool.submit(job(trial_id))
        pids.append(ends(pool)[trial_id]["pid"])
    assert pids[0] == pids[1]


def test_the_job_of_a_dead_worker_is_given_to_another_once(pool):
    pool.submit(job("dies once"))
    assert ends(pool)["dies once"]["score"] == 0.25
    assert pool.said == ["The worker of dies once died (exit 7); another one tries again."]


def test_a_job_that_kills_its_workers_fails(pool):
    pool.submit(job("dies"))
    ((_, message),) = heard(pool)
    assert message["say"] == "failed"
    assert f"died {ATTEMPTS} times (exit 7)" in message["reason"]


def test_what_no_other_worker_could_mend_is_raised_as_it_was(pool):
    pool.submit(job("stops"))
    with pytest.raises(CacheCorrupt, match="a shard is damaged") as caught:
        heard(pool)
    assert caught.value.fix == "extract again"


def test_a_worker_that_has_grown_is_replaced(pool):
    pids = []
    for trial_id in ("t0", "grows", "t1"):
        pool.submit(job(trial_id))
        pids.append(ends(pool)[trial_id]["pid"])
    assert pids[0] == pids[1] != pids[2]
    assert GROWTH_BYTES < 10**9


def test_programs_are_kept_while_the_search_runs(tmp_path):
    config = WorkerConfig(workspace="w", study="s", cache_key="k", classes=4)
    with WorkerPool(1, config, tmp_path) as pool:
        assert pool.environment.items() >= shared_programs(tmp_path / "compiled").items()
        (tmp_path / "compiled").mkdir()
    assert not (tmp_path / "compiled").exists()
