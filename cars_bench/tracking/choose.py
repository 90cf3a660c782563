"""`--track`: which tracker a person means, refused before anything is spent where it cannot be."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from cars_bench.errors import InputError, UsageError, shown
from cars_bench.tracking.tracker import Tracker
from cars_bench.workspace import Workspace

TENSORBOARD = "tensorboard"
MLFLOW = "mlflow"
FORMS = "--track tensorboard[:FOLDER] or --track mlflow[:ADDRESS_OR_FOLDER]"
ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
DATABASE_FILE = "mlflow.db"
WITHOUT_SCHEME = re.compile(r"[\w.-]+:\d+(/.*)?")
CREDENTIALS = re.compile(r"://[^/\s]*@")


def open_tracker(asked: str, workspace: Workspace) -> Tracker:
    """The tracker of a `--track`; nothing is sent yet.

    Args:
        asked: `tensorboard` or `mlflow`, and after a colon where; by default
            `reports/tensorboard` of the workspace, and what `MLFLOW_TRACKING_URI` says or
            else `reports/mlflow`.
        workspace: Its tray of what people read is the default place.

    Raises:
        UsageError: There is no such tracker, or its address is none.
        InputError: Its package is not installed, or its folder cannot be written to.
    """
    name, _, where = asked.partition(":")
    if name == TENSORBOARD:
        from cars_bench.tracking.tensorboard import TensorBoardTracker

        return TensorBoardTracker(_folder(where, workspace.reports / TENSORBOARD))
    if name == MLFLOW:
        return _mlflow(where or os.environ.get(ADDRESS_VARIABLE, ""), workspace)
    raise UsageError(f"There is no tracker {shown(without_credentials(name))}.", FORMS)


def without_credentials(text: str) -> str:
    """The text without the user and password of any address in it."""
    return CREDENTIALS.sub("://", text)


def _mlflow(where: str, workspace: Workspace) -> Tracker:
    from cars_bench.tracking.mlflow import MlflowTracker

    if WITHOUT_SCHEME.fullmatch(where):
        raise UsageError(f"{where!r} is no address of MLflow.", f"--track mlflow:http://{where}")
    scheme = where.partition(":")[0].partition("+")[0] if "://" in where or ":" in where else ""
    _require("mlflow", "Tracking with MLflow", "pip install 'cars-bench[mlflow]'")
    if scheme in SERVERS:
        _require_host(where)
        return MlflowTracker(where, f"MLflow at {without_credentials(where)}")
    _require("alembic", "MLflow without a server", "pip install mlflow")
    if scheme in DATABASES:
        return MlflowTracker(where, f"MLflow in {without_credentials(where)}")
    if scheme not in ("", "file"):
        raise UsageError(f"{without_credentials(where)!r} is no address of MLflow.", FORMS)
    folder = _folder(where.removeprefix("file:").removeprefix("//"), workspace.reports / MLFLOW)
    _make(folder)
    database = f"sqlite:///{folder / DATABASE_FILE}"
    shown_as = f"mlflow ui --backend-store-uri {database}"
    return MlflowTracker(database, shown_as, (folder / "artifacts").as_uri())


def _folder(where: str, default: Path) -> Path:
    return Path(where).expanduser().resolve() if where else default


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"MLflow's folder {folder} cannot be written to ({error.strerror}).",
            "--track mlflow:FOLDER with another one",
        ) from error


def _require(package: str, what: str, fix: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{what} needs the package {package}, which is not installed.", fix)


def _require_host(address: str) -> None:
    """Refuse a web address without a host, or with a port that is none."""
    if address.startswith("databricks"):
        return
    try:
        found = urlsplit(address)
        named = bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError:
        named = False
    if not named:
        raise UsageError(
            f"{without_credentials(address)!r} is no address of a server.",
            "--track mlflow:http://HOST:PORT",
        )
