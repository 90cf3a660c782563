"""MLflow: a study is an experiment, each of its trials and runs a run; found again by two tags.

Points have the same times whenever they are written, so that a server drops one that is sent
again because its answer was lost.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from cars_bench.tracking.rows import Status, TrackedRun
from cars_bench.tracking.tracker import Tracker, Written, missing
from cars_bench.workspace import sha256_file

GROUP = "cars_bench.study"
KEY = "cars_bench.run"
COMPLETE = "cars_bench.rows"
ARTIFACT = "cars_bench.artifact."
STATUSES: dict[Status, str] = {
    "running": "RUNNING",
    "completed": "FINISHED",
    "failed": "FAILED",
}
MINE = {its: mine for mine, its in STATUSES.items()}
MOST_PARAMETERS = 100
MOST_POINTS = 900
"""Of each in one request."""
PAGE = 1000
LONGEST = 500
"""Characters of a parameter that every MLflow server takes."""
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where `--json` has its one document
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Of MLflow's client, where the user has none: it fails soon, since the next sync tries again."""
NOISY = ("mlflow", "alembic", "urllib3")


class MlflowTracker(Tracker):
    """Runs on a server, or in a database of this machine.

    Args:
        address: As MLflow takes it.
        shown: The same without credentials.
        artifacts: Where a database of this machine keeps files; empty leaves it to the server.
    """

    def __init__(self, address: str, shown: str, artifacts: str = "") -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self.shown = shown
        self._address = address
        self._artifacts = artifacts
        self._made: Any = None
        self._experiment = ""
        self._known: dict[str, Any] = {}

    def check(self) -> None:
        """Ask the server for anything at all."""
        self._client.search_experiments(max_results=1)

    def sync(self, runs: Sequence[TrackedRun]) -> None:
        """Write the rows that the server does not hold; what it holds is asked for anew."""
        self._known = {run.data.tags[KEY]: run for run in self._runs(runs[0])} if runs else {}
        super().sync(runs)

    def written(self, run: TrackedRun) -> Written | None:
        """What the server holds of a run; all of it where the run's own tag says so."""
        found = self._known.get(run.key)
        if found is None:
            return Written(begun=round(run.begun, 3))
        tags = found.data.tags
        if tags.get(COMPLETE) == run.digest():
            return None
        names = {point.name for point in run.points} & set(found.data.metrics)
        return Written(
            begun=found.info.start_time / 1000,
            status=MINE.get(found.info.status, "running"),
            parameters=set(found.data.params),
            points={(name, step) for name in names for step in self._steps(found, name)},
            artifacts={
                name.removeprefix(ARTIFACT): sha256
                for name, sha256 in tags.items()
                if name.startswith(ARTIFACT)
            },
        )

    def write(self, run: TrackedRun, written: Written) -> None:
        """Send rows, then files, then the end; last of all, that nothing is missing."""
        whole = run.digest()
        lacking = missing(run, written)
        found = self._known.get(run.key) or self._create(lacking)
        identity = found.info.run_id
        self._log(identity, lacking)
        for path in lacking.artifacts:
            sha256 = sha256_file(path)
            self._client.log_artifact(identity, str(path))
            self._client.set_tag(identity, ARTIFACT + path.name, sha256)
        if run.status != written.status:
            last = max((point.after for point in run.points), default=0.0)
            ended = _milliseconds(lacking.begun + last)
            self._client.set_terminated(identity, STATUSES[run.status], ended)
        self._client.set_tag(identity, COMPLETE, whole)

    @property
    def _client(self) -> Any:
        """MLflow's client; imported only here, which takes two seconds."""
        if self._made is None:
            from mlflow import MlflowClient

            for name in NOISY:
                logging.getLogger(name).setLevel(logging.ERROR)
            self._made = MlflowClient(self._address)
        return self._made

    def _runs(self, one: TrackedRun) -> Iterator[Any]:
        """The runs of a study that the server holds."""
        found = self._client.get_experiment_by_name(one.study)
        self._experiment = found.experiment_id if found else ""
        token: str | None = ""
        while found and token is not None:
            page = self._client.search_runs(
                [self._experiment], max_results=PAGE, page_token=token or None
            )
            yield from (run for run in page if run.data.tags.get(GROUP) == one.group)
            token = page.token or None

    def _create(self, run: TrackedRun) -> Any:
        client = self._client
        if not self._experiment:
            self._experiment = client.create_experiment(run.study, self._artifacts or None)
        name = run.key.rpartition("/")[2]
        began = _milliseconds(run.begun)
        return client.create_run(self._experiment, began, {GROUP: run.group, KEY: run.key}, name)

    def _steps(self, found: Any, name: str) -> list[int]:
        history = self._client.get_metric_history(found.info.run_id, name)
        return [metric.step for metric in history]

    def _log(self, identity: str, run: TrackedRun) -> None:
        """Send parameters and points, as many as a request may hold."""
        from mlflow.entities import Metric, Param

        parameters = [Param(name, str(value)[:LONGEST]) for name, value in run.parameters.items()]
        metrics = [
            Metric(point.name, point.value, _milliseconds(run.begun + point.after), point.step)
            for point in run.points
        ]
        for params, points in zip_longest(
            batched(parameters, MOST_PARAMETERS), batched(metrics, MOST_POINTS), fillvalue=()
        ):
            self._client.log_batch(identity, metrics=points, params=params)


def batched(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Slices of so many items."""
    return (items[start : start + most] for start in range(0, len(items), most))


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
