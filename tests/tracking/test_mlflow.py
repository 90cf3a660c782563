"""MLflow: its client and a store of its own here; a real server in the slow tests."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cars_bench.tracking.follow import Follower, sync_study
from cars_bench.tracking.mlflow import COMPLETE, KEY, STATUSES, MlflowTracker
from cars_bench.tracking.rows import tracked_runs
from cars_bench.tuning.study import Study
from tests.tracking.studies import NAME, Rows, Tracked, expected
from tests.tracking.test_follow import Told
from tests.tuning.conftest import cached, space
from tests.tuning.searches import command as search
from tests.tuning.searches import ended, wait_for

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs mlflow")
SERVER = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("aiohttp", "alembic", "flask"))),
    reason="needs MLflow's server (pip install mlflow)",
)
__all__ = ["cached", "space"]
START_SECONDS = 300.0
WITHOUT_JOBS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Of a server: nothing but tracking, so that it starts no processes for jobs."""


def read_back(address: str, experiment: str = NAME) -> Rows:
    """The rows of every run, as MLflow's own client reads them; one run found twice fails."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    identity = client.get_experiment_by_name(experiment).experiment_id
    found = {}
    for run in client.search_runs([identity], max_results=1000):
        points = [
            (name, item.step, float(np.float32(item.value)))
            for name in run.data.metrics
            for item in client.get_metric_history(run.info.run_id, name)
        ]
        assert run.data.tags[KEY] not in found
        found[run.data.tags[KEY]] = (run.info.status, sorted(run.data.params), sorted(points))
    return found


def holds_all(address: str, tracked: Tracked) -> bool:
    runs = list(tracked_runs(tracked.workspace, Study.open(tracked.workspace, tracked.study.name)))
    wanted = {key: (STATUSES[row[0]], *row[1:]) for key, row in expected(runs).items()}
    return read_back(address, tracked.study.name) == wanted


def tracker_of(address: str) -> MlflowTracker:
    return MlflowTracker(address, "MLflow")


@pytest.fixture
def store(monkeypatch, tmp_path) -> str:
    """A folder that MLflow's client writes to itself: quick, and it drops no row sent twice."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "store").as_uri()


def test_every_row_is_there_once_after_any_number_of_syncs(store, tmp_path):
    tracked = Tracked.in_folder(tmp_path / "workspace")
    tracker = tracker_of(store)
    tracker.check()
    for first, trials in ((0, 2), (2, 0), (2, 3)):
        tracked.grow(first, trials)
        sync_study(tracker, tracked.workspace, NAME)
    sync_study(tracker_of(store), tracked.workspace, NAME)
    assert holds_all(store, tracked)


def test_a_study_that_was_finished_before_is_there_once_however_often_followed(store, finished):
    study = Study.open(finished)
    told = Told()
    for _ in range(2):
        following = Follower(tracker_of(store), finished, told)
        following.begin()
        following.follow(study.name)
        following.end()
    assert holds_all(store, Tracked(finished, study))
    assert any(key.startswith("final/") for key in read_back(store, study.name))
    assert not told.warnings


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_a_sync_cut_short_at_any_request_is_made_whole_by_the_next(
    store, tmp_path_factory, calls, monkeypatch
):
    root = tmp_path_factory.mktemp("cut")
    tracked = Tracked.in_folder(root / "workspace")
    address = (root / "store").as_uri()
    for number, allowed in enumerate(calls):
        tracked.grow(number, 1, epochs=2)
        with pytest.raises(ConnectionError) if allowed < 3 else _either():
            sync_study(_Failing(address, allowed), tracked.workspace, NAME)
    sync_study(tracker_of(address), tracked.workspace, NAME)
    assert holds_all(address, tracked)


class _either:  # noqa: N801
    """A sync that may end or be cut short."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> bool:
        return kind is None or issubclass(kind, ConnectionError)


class _Failing(MlflowTracker):
    """Answers so many requests that write, and none after them."""

    def __init__(self, address: str, allowed: int) -> None:
        super().__init__(address, "MLflow")
        self.allowed = allowed

    @property
    def _client(self):
        client = super()._client
        for name in ("create_experiment", "create_run", "log_batch", "set_terminated", "set_tag"):
            if not hasattr(getattr(client, name), "counted"):
                setattr(client, name, self._counted(getattr(client, name)))
        return client

    def _counted(self, request):
        def call(*values, **named):
            if self.allowed == 0:
                raise ConnectionError("the server is gone")
            self.allowed -= 1
            return request(*values, **named)

        call.counted = True
        return call


def test_files_go_along_and_a_changed_one_again(store, tmp_path):
    from mlflow import MlflowClient

    tracked = Tracked.in_folder(tmp_path / "workspace")
    report = tracked.workspace.reports / NAME / "report.html"
    report.parent.mkdir(parents=True)
    for text in ("first", "second"):
        report.write_text(text)
        sync_study(tracker_of(store), tracked.workspace, NAME)
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
    (found,) = client.list_artifacts(run.info.run_id)
    assert found.path == "report.html"
    copy = client.download_artifacts(run.info.run_id, found.path, str(tmp_path))
    assert Path(copy).read_text() == "second"
    assert COMPLETE in run.data.tags


def test_a_server_that_is_not_there_is_told_in_one_sentence_without_its_password(tmp_path):
    tracked = Tracked.in_folder(tmp_path)
    told = Told()
    port = free_port()
    tracker = tracker_of(f"http://me:s3cret@127.0.0.1:{port}")
    following = Follower(tracker, tracked.workspace, told, every_seconds=0.05)
    following.begin()
    following.follow(NAME)
    following.end()
    (warning,) = told.warnings
    assert "s3cret" not in warning
    assert "catches up" in warning


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server` with a database and files in a folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
                "--port", str(self.port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
                "--artifacts-destination", str(self.folder / "artifacts"),
            ],
            env=os.environ | WITHOUT_JOBS,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as said:
                return said.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"))
    yield found
    found.stop()


def study_of(workspace, name: str) -> Tracked:
    return Tracked(workspace, Study.open(workspace, name))


@SERVER
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_killed_on_its_way_and_begun_again_loses_and_doubles_no_row(server, cached, space):
    options = ("--study", "killed", "--track", f"mlflow:{server.address}")
    killed = search(cached, space, *options)
    ledger = cached.study("killed") / "ledger.jsonl"
    wait_for(lambda: ledger.exists() and '"completed"' in ledger.read_text(), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    code, document = ended(search(cached, space, *options))
    assert (code, document["run"]) == (0, 4)
    assert holds_all(server.address, study_of(cached, "killed"))


@SERVER
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_killed_on_the_way_is_one_warning_and_the_next_command_catches_up(
    server, cached, space
):
    options = ("--study", "lonely", "--track", f"mlflow:{server.address}")
    process = search(cached, space, *options)
    ledger = cached.study("lonely") / "ledger.jsonl"
    wait_for(lambda: ledger.exists() and '"epoch"' in ledger.read_text(), process)
    server.stop()
    printed, said = process.communicate(timeout=600)
    assert process.returncode == 0
    assert json.loads(printed)["run"] == 4
    assert said.count("warning: ") == 1
    assert "catches up" in said
    server.start()
    code, _ = ended(search(cached, space, *options))
    assert code == 0
    assert holds_all(server.address, study_of(cached, "lonely"))


@SERVER
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_row_and_file_reaches_a_server_once(server, finished):
    from mlflow import MlflowClient

    tracked = Tracked(finished, Study.open(finished))
    for _ in range(2):
        sync_study(tracker_of(server.address), finished, tracked.study.name)
    assert holds_all(server.address, tracked)
    client = MlflowClient(server.address)
    found = client.search_runs([client.get_experiment_by_name(tracked.study.name).experiment_id])
    (run,) = (run for run in found if run.data.tags[KEY].startswith("final/"))
    files = client.list_artifacts(run.info.run_id)
    assert {item.path for item in files} == {"history.csv", "model-card.md"}
