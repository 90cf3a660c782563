"""A study: one search over one cache, with its record, its ledger, its winner and its runs."""

from __future__ import annotations

import contextlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cars_bench import __version__
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.documents import read_record, write_record
from cars_bench.errors import CacheStale, StudyMissing, UsageError, known
from cars_bench.tuning.ledger import Trial, read_trials
from cars_bench.workspace import Workspace

STUDY_FILE = "study.json"
LEDGER_FILE = "ledger.jsonl"
SEEDS_APART = 10_007
TUNE = "cars-bench tune --trials 100"
RECORDED_PACKAGES = ("keras", "keras-tuner", "numpy", "jax", "tensorflow", "scikit-learn")


@dataclass(frozen=True)
class DatasetReference:
    """Which dataset, and the digest of what it held."""

    name: str
    digest: str


@dataclass(frozen=True)
class FeatureSummary:
    """The features that the heads are trained on, in a few words.

    Attributes:
        backbone: Its name in the catalogue.
        pooling: How its map became a vector.
        width: Of that vector.
        views: Stored of each training image.
    """

    backbone: str
    pooling: str
    width: int
    views: int


@dataclass(frozen=True)
class Budget:
    """How much a search may spend.

    Attributes:
        trials: The study's total.
        epochs: Upper bound a trial; `None` leaves it to the space.
    """

    trials: int
    epochs: int | None


@dataclass(frozen=True)
class Asked:
    """Words of the command line that the record does not hold otherwise.

    Attributes:
        space: Shipped name or path of the space.
        repeats: New seeds that the best few are trained again with.
    """

    space: str
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Winner:
    """Who won, and what the win is worth; the latter `None` where the ledger cannot say.

    Attributes:
        trial_id: The winning trial.
        refit: `train+val` when the stored head was trained on the validation images too.
        candidates: Completed trials that it was chosen from.
        score: Its validation top-1.
        expected_drop: Of the best score on new images.
        observed_drop: Validation top-1 less test top-1; `None` until that was measured.
    """

    trial_id: str
    refit: str = ""
    candidates: int | None = None
    score: float | None = None
    expected_drop: float | None = None
    observed_drop: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """`study.json`; what is `None` is settled by the first search, or not yet known.

    Attributes:
        name: Of the study.
        created: When, ISO 8601.
        cache_key: Of the features.
        dataset: That they were made of.
        class_names: Index is the label.
        features: What they are.
        space: The space file as read.
        oracle: Name of the oracle.
        seed: Of the oracle and of every trial.
        backend: Keras backend that the heads are trained on.
        budget: Of the search.
        versions: Of the packages that the numbers depend on.
        window: Trials that may be on their way at once.
        asked: Of the last search.
        winner: Of the last search that ended.
    """

    name: str
    created: str
    cache_key: str
    dataset: DatasetReference
    class_names: tuple[str, ...]
    features: FeatureSummary
    space: dict[str, Any] | None = None
    oracle: str | None = None
    seed: int | None = None
    backend: str | None = None
    budget: Budget = Budget(0, None)
    versions: dict[str, str]
    window: int | None = None
    asked: Asked | None = None
    winner: Winner | None = None


@dataclass(frozen=True, kw_only=True)
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
    """A study's folder and its record."""

    folder: Path
    record: StudyRecord

    @classmethod
    def open(cls, workspace: Workspace, name: str | None = None) -> Study:
        """Open a study, by default the last one made or used.

        Raises:
            StudyMissing: There is none.
            RecordDamaged: Its record is not one.
        """
        chosen = name or workspace.settings().get("study", {}).get("name")
        if not chosen:
            raise StudyMissing("Nothing has been tuned here yet.", TUNE)
        return cls.read(workspace.study(chosen))

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Open the study in a folder.

        Raises:
            StudyMissing: There is none.
            RecordDamaged: Its record is not one.
        """
        names = sorted(path.parent.name for path in folder.parent.glob(f"*/{STUDY_FILE}"))
        missing = StudyMissing(f"There is no study named {folder.name!r}{known(names)}.", TUNE)
        fix = "restore the file from a backup, or start another --study"
        return cls(folder, read_record(folder / STUDY_FILE, StudyRecord, missing, fix))

    @classmethod
    def open_or_create(
        cls, workspace: Workspace, cache: FeatureCache, dataset: Dataset, name: str | None
    ) -> Study:
        """Open the study of a cache, or begin one; it becomes the default.

        Raises:
            CacheStale: The study was made on another cache.
        """
        chosen = name or default_name(cache)
        folder = workspace.study(chosen)
        if (folder / STUDY_FILE).is_file():
            study = cls.open(workspace, chosen)
            study.require_cache(cache.key)
        else:
            study = cls(folder, _new_record(chosen, cache, dataset))
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
        return self.record.cache_key

    @property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        return list(self.record.class_names)

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
        return self.record.seed or 0

    def repeat_seed(self, repeat: int) -> int:
        """The seed of a trial's repeat; `repeat` counts from 1."""
        return self.trial_seed + SEEDS_APART * repeat

    def save(self) -> None:
        """Write `study.json`."""
        write_record(self.folder / STUDY_FILE, self.record)

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
        if dataset.digest != self.record.dataset.digest:
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
        record = self.record
        settled = {name: getattr(record, name) for name in ("space", "oracle", "seed", "backend")}
        settled["epochs"] = record.budget.epochs
        differing = [name for name, value in wanted.items() if settled[name] != value]
        if record.oracle is not None and differing:
            raise UsageError(
                f"Study {self.name!r} was begun with another {' and '.join(differing)}.",
                "repeat the options it was begun with, or start another --study NAME",
            )
        budget = Budget(trials, wanted.pop("epochs"))
        return self.changed(**wanted, budget=budget)

    def changed(self, **fields: Any) -> Study:
        """The same study with other values in its record, written at once."""
        study = Study(self.folder, replace(self.record, **fields))
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


def study_names(workspace: Workspace) -> list[str]:
    """Names of a workspace's studies, in order."""
    return [path.parent.name for path in sorted(workspace.studies.glob(f"*/{STUDY_FILE}"))]


def current_name(workspace: Workspace, cache: FeatureCache) -> str | None:
    """The study that commands take by default, where there is one and it is on this cache."""
    with contextlib.suppress(StudyMissing):
        study = Study.open(workspace)
        return study.name if study.cache_key == cache.key else None
    return None


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


def _new_record(name: str, cache: FeatureCache, dataset: Dataset) -> StudyRecord:
    features = FeatureSummary(
        backbone=cache.recipe.backbone,
        pooling=cache.recipe.pooling,
        width=int(cache.manifest.shape[-1]),
        views=cache.manifest.views("train"),
    )
    return StudyRecord(
        name=name,
        created=now(),
        cache_key=cache.key,
        dataset=DatasetReference(dataset.name, dataset.digest),
        class_names=tuple(dataset.class_names),
        features=features,
        versions=package_versions(),
    )
