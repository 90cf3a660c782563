"""A study: one search over one cache, with its ledger, its winner and its runs."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CacheStale, StudyMissing, UsageError
from cars_bench.tuning.ledger import Trial, read_trials
from cars_bench.workspace import Workspace, write_json

STUDY_FILE, LEDGER_FILE = "study.json", "ledger.jsonl"
SEEDS_APART = 10_007
TUNE = "cars-bench tune --trials 100"
RECORDED_PACKAGES = ("keras", "keras-tuner", "numpy", "jax", "tensorflow", "scikit-learn")


@dataclass(frozen=True)
class SearchPlan:
    """What a search varies and how; two runs of one study must agree on it.

    Attributes:
        space: The space file as read.
        oracle: Name of the oracle.
        seed: Of the oracle and of every trial.
        epochs: Upper bound on the epochs of a trial; `None` leaves it to the space.
        backend: Keras backend that the heads are trained on.
    """

    space: dict[str, Any]
    oracle: str
    seed: int
    epochs: int | None
    backend: str


@dataclass(frozen=True)
class Study:
    """A study's folder and its document `study.json`."""

    folder: Path
    document: dict[str, Any]

    @classmethod
    def open(cls, workspace: Workspace, name: str | None = None) -> Study:
        """Open a study, by default the last one made or used.

        Raises:
            StudyMissing: There is none.
        """
        chosen = name or workspace.settings().get("study", {}).get("name")
        if not chosen:
            raise StudyMissing("Nothing has been tuned here yet.", TUNE)
        path = workspace.studies / chosen / STUDY_FILE
        if not path.is_file():
            raise StudyMissing(f"There is no study named {chosen!r}.", TUNE)
        return cls(path.parent, json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def open_or_create(
        cls, workspace: Workspace, cache: FeatureCache, dataset: Dataset, name: str | None
    ) -> Study:
        """Open the study of a cache, or begin one; it becomes the default.

        Raises:
            CacheStale: The study was made on another cache.
        """
        chosen = name or default_name(cache)
        folder = workspace.studies / chosen
        if (folder / STUDY_FILE).is_file():
            study = cls.open(workspace, chosen)
            study.require_cache(cache.key)
        else:
            study = cls(folder, _new_document(chosen, cache, dataset))
            study.save()
        workspace.remember("study", name=chosen)
        return study

    @property
    def name(self) -> str:
        """Folder name under `tuning/`."""
        return self.folder.name

    @property
    def cache_key(self) -> str:
        """Key of the cache that its heads are trained on."""
        return str(self.document["cache_key"])

    @property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        return list(self.document["class_names"])

    @property
    def ledger_path(self) -> Path:
        """The study's ledger."""
        return self.folder / LEDGER_FILE

    @property
    def running(self) -> Path:
        """Folder with the checkpoints of long trials that have not ended."""
        return self.folder / "running"

    def checkpoint(self, trial_id: str, repeat: int = 0) -> Path:
        """Checkpoint of a trial, or of one of its repeats."""
        return self.running / f"{trial_id}{f'-repeat{repeat}' if repeat else ''}.npz"

    @property
    def trial_seed(self) -> int:
        """The seed that every trial is trained with."""
        return int(self.document["seed"] or 0)

    def repeat_seed(self, repeat: int) -> int:
        """The seed of a trial's repeat; `repeat` counts from 1."""
        return self.trial_seed + SEEDS_APART * repeat

    def save(self) -> None:
        """Write `study.json`."""
        write_json(self.folder / STUDY_FILE, self.document)

    def require_cache(self, key: str) -> None:
        """Refuse a cache other than the study's own.

        Raises:
            CacheStale: It is another one.
        """
        if key != self.cache_key:
            raise CacheStale(
                f"Study {self.name!r} was tuned on the cache {self.cache_key}, not on {key}.",
                "add --study NEW_NAME to start another study, or --cache "
                f"{self.cache_key} to go on with this one",
            )

    def require_dataset(self, dataset: Dataset) -> None:
        """Refuse a dataset whose classes or images changed since.

        Raises:
            CacheStale: They did; names the classes that differ.
        """
        changed = sorted(set(self.class_names) ^ set(dataset.class_names))
        if changed:
            shown = ", ".join(changed[:3])
            raise CacheStale(
                f"The classes of {dataset.name!r} changed since study {self.name!r} was tuned: "
                f"{shown}{' and more' if changed[3:] else ''}.",
                "cars-bench extract, then cars-bench tune --study NEW_NAME",
            )
        if dataset.digest != self.document["dataset"]["digest"]:
            raise CacheStale(
                f"The dataset {dataset.name!r} changed since study {self.name!r} was tuned.",
                "cars-bench extract, then cars-bench tune --study NEW_NAME",
            )

    def settle(self, plan: SearchPlan, trials: int) -> Study:
        """Fix the search's plan at its first run, and hold later runs to it.

        Raises:
            UsageError: A later run asks for something else; names it.
        """
        wanted = json.loads(json.dumps(asdict(plan)))
        settled = {key: self.document.get(key) for key in ("space", "oracle", "seed", "backend")}
        settled["epochs"] = self.document["budget"]["epochs"]
        if settled["oracle"] is not None:
            differing = [key for key, value in wanted.items() if settled[key] != value]
            if differing:
                raise UsageError(
                    f"Study {self.name!r} was begun with another {' and '.join(differing)}.",
                    "repeat the options it was begun with, or start another --study NAME",
                )
        epochs = wanted.pop("epochs")
        added = {"budget": {"trials": trials, "epochs": epochs}}
        return self.with_entries(**wanted, **added)

    def with_entries(self, **entries: Any) -> Study:
        """The same study with entries added to `study.json`, written at once."""
        study = Study(self.folder, self.document | entries)
        study.save()
        return study

    def trials(self) -> tuple[Trial, ...]:
        """Trials and probes of the ledger, in order."""
        return read_trials(self.ledger_path)

    def trial(self, trial_id: str) -> Trial:
        """One completed trial.

        Raises:
            StudyMissing: There is none of that name.
        """
        for record in self.trials():
            if record.trial_id == trial_id and record.status == "completed":
                return record
        raise StudyMissing(
            f"Study {self.name!r} has no completed trial {trial_id!r}.", "cars-bench trials"
        )


def default_name(cache: FeatureCache) -> str:
    """Name of a cache's study when none is given: dataset, backbone and key."""
    return f"{cache.manifest.dataset}-{cache.recipe.backbone}-{cache.key[:6]}"


def package_versions() -> dict[str, str]:
    """Versions of Python, of cars-bench and of what the numbers depend on."""
    found = {"python": platform.python_version(), "cars-bench": __version__}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def now() -> str:
    """The current time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_document(name: str, cache: FeatureCache, dataset: Dataset) -> dict[str, Any]:
    recipe = cache.recipe
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "created": now(),
        "cache_key": cache.key,
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "class_names": dataset.class_names,
        "features": {
            "backbone": recipe.backbone,
            "pooling": recipe.pooling,
            "width": int(cache.manifest.shape[-1]),
            "views": cache.manifest.views("train"),
        },
        "space": None,
        "oracle": None,
        "seed": None,
        "backend": None,
        "budget": {"trials": 0, "epochs": None},
        "versions": package_versions(),
    }
