"""What an experiment came to: `tuning/NAME-BACKBONE/experiment.json`, one record a backbone.

It is written after every stage, so that a killed experiment knows what it has finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cars_bench.checksums import checksum
from cars_bench.documents import read_record, write_record
from cars_bench.errors import InputError, ModelMissing
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.experiments.config import Expected, Published
from cars_bench.experiments.experiment import RUNS, Experiment, Planned
from cars_bench.finetune.plan import run_folder
from cars_bench.finetune.runs import Run
from cars_bench.training.checkpoint import EpochResult
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

RECORD_FILE = "experiment.json"
AGAIN = "delete the file, and cars-bench run the experiment again: finished studies are reused"


@dataclass(frozen=True)
class KeptCheck:
    """A sanity check and what it saw."""

    name: str
    passed: bool
    expected: str
    saw: str


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """What one attempt came to.

    Attributes:
        name: Of the attempt.
        summary: What it tries.
        digest: Of everything that its result depends on but the pictures.
        backbone: That its features come from.
        image_size: Side of the input in pixels.
        crop: What its pictures are cut to.
        study: Where its head comes from.
        trial_id: That head; empty until the search ended.
        run: The fine-tuning that finished it; empty without one, and until it ended.
        lacking: Why it could not be done here; empty where it could.
        val: Accuracy on the validation images of what the attempt ends in.
        test: The same on the test images, where they were read.
        seconds: Wall time by stage, of all sessions; a stage that was reused took none.
        checks: Sanity checks of its cache.
        published: Scores of this very attempt.
        data: Digest of what its dataset holds; empty before that is prepared.
        val_boxes: How good its boxes are on the validation images, where its head tells any.
        test_boxes: The same on the test images.
    """

    name: str
    summary: str
    digest: str
    backbone: str
    image_size: int
    crop: str
    study: str = ""
    trial_id: str = ""
    run: str = ""
    lacking: str = ""
    val: SplitScore | None = None
    test: SplitScore | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    checks: tuple[KeptCheck, ...] = ()
    published: tuple[Published, ...] = ()
    data: str = ""
    val_boxes: BoxScore | None = None
    test_boxes: BoxScore | None = None

    @property
    def finished(self) -> bool:
        """Whether it was done to its end."""
        return self.val is not None

    @property
    def wall_seconds(self) -> float:
        """Of all its stages."""
        return sum(self.seconds.values())

    def is_of(self, content: str | None) -> bool:
        """Whether it was done on a dataset of this content, or on none yet."""
        return self.data == content or not (self.data or self.finished)

    def spent(self, stage: str, seconds: float) -> AttemptRecord:
        """The same after more time in a stage."""
        total = round(self.seconds.get(stage, 0.0) + seconds, 2)
        return replace(self, seconds=self.seconds | {stage: total})


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """What an experiment came to with one backbone.

    Attributes:
        name: Of the experiment.
        summary: What it asks.
        backbone: The experiment's own; attempts may have others.
        shortened: What differs from the published text.
        published: Scores of the project as a whole.
        expected: What it came to where it was last measured.
        attempts: In the order of the config.
        chosen: The attempt with the best validation top-1; empty until all are done.
        datasets: What each dataset was made of, as a checksum, by its name.
        planned: Names of all attempts of the config; those of older records were not kept.
    """

    name: str
    summary: str
    backbone: str
    shortened: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    expected: Expected | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    chosen: str = ""
    datasets: dict[str, str] = field(default_factory=dict)
    planned: tuple[str, ...] = ()

    def attempt(self, name: str) -> AttemptRecord | None:
        """One of its attempts, if it was begun."""
        return next((item for item in self.attempts if item.name == name), None)

    def having(self, attempt: AttemptRecord) -> ExperimentRecord:
        """The same with an attempt in the place that the config gives it."""
        known = {item.name: item for item in self.attempts} | {attempt.name: attempt}
        order = dict.fromkeys((*self.planned, *known))
        return replace(self, attempts=tuple(known[name] for name in order if name in known))

    def of_data(self, contents: Mapping[str, str]) -> ExperimentRecord:
        """The same without what was done on other pictures than these.

        Args:
            contents: Digest of each attempt's dataset, by the attempt's name.
        """
        kept = tuple(item for item in self.attempts if item.is_of(contents.get(item.name)))
        chosen = self.chosen if len(kept) == len(self.attempts) else ""
        return replace(self, attempts=kept, chosen=chosen)

    @property
    def wall_seconds(self) -> float:
        """Of all attempts."""
        return sum(item.wall_seconds for item in self.attempts)

    def folder(self, workspace: Workspace) -> Path:
        """Where it is kept."""
        return workspace.study(f"{self.name}-{self.backbone}")

    def write(self, workspace: Workspace) -> ExperimentRecord:
        """Store it."""
        write_record(self.folder(workspace) / RECORD_FILE, self)
        return self


def begun_record(workspace: Workspace, experiment: Experiment) -> ExperimentRecord:
    """The record of an experiment, with what its config says now; a new one at first.

    Attempts that the config does not have any more, or wants otherwise now, are dropped.

    Raises:
        RecordDamaged: It is not what was written.
    """
    config = experiment.config
    fresh = ExperimentRecord(
        name=experiment.name,
        summary=config.summary,
        backbone=experiment.backbone,
        shortened=config.shortened,
        published=config.published,
        expected=config.expected,
        planned=tuple(item.name for item in experiment.planned),
    )
    path = fresh.folder(workspace) / RECORD_FILE
    if not path.is_file():
        return fresh
    before = read_experiment_record(path)
    kept = [_as_now(before.attempt(item.name), item) for item in experiment.planned]
    attempts = tuple(item for item in kept if item)
    whole = len(attempts) == len(experiment.planned)
    chosen = before.chosen if whole else ""
    return replace(fresh, attempts=attempts, chosen=chosen, datasets=before.datasets)


def _as_now(attempt: AttemptRecord | None, wanted: Planned) -> AttemptRecord | None:
    """A kept attempt in the config's words of today; `None` where it was of other work."""
    if attempt is None or attempt.digest != checksum(wanted.document()):
        return None
    said = wanted.attempt
    return replace(attempt, summary=said.summary, published=said.published)


def read_experiment_record(path: Path) -> ExperimentRecord:
    """Read a stored record.

    Raises:
        ModelMissing: There is none.
        RecordDamaged: It is not what was written.
    """
    missing = ModelMissing(f"There is no experiment in {path.parent}.", "cars-bench run EXPERIMENT")
    return read_record(path, ExperimentRecord, missing, AGAIN)


@dataclass(frozen=True)
class Curves:
    """The epochs of an attempt.

    Attributes:
        head: Of the head's training.
        tuned: Of the fine-tuning; none without one.
        warm: The fine-tuning went on from that head, not from a fresh one.
    """

    head: tuple[EpochResult, ...] = ()
    tuned: tuple[EpochResult, ...] = ()
    warm: bool = True


@dataclass(frozen=True)
class Kept:
    """An experiment's record, and the workspace that holds what it speaks of."""

    workspace: Workspace
    record: ExperimentRecord

    def curves(self, attempt: AttemptRecord) -> Curves:
        """The epochs of an attempt; none where its study was deleted since.

        Raises:
            RecordDamaged: A ledger or a history is not what was written.
        """
        try:
            study = Study.open(self.workspace, attempt.study or None)
            head = tuple(study.trial(attempt.trial_id).epochs)
            if not attempt.run:
                return Curves(head)
            run = Run.open(run_folder(self.workspace, attempt.study, attempt.run))
        except InputError:
            return Curves()
        return Curves(head, run.history(), run.record.warm_up)


def kept_experiments(workspace: Workspace, experiments: Path) -> list[Kept]:
    """Every record in a workspace's trays and in the folders' own runs, by name.

    Args:
        workspace: With trays.
        experiments: Folder of experiments' folders.

    Raises:
        RecordDamaged: One is not what was written.
    """
    files = experiment_files(workspace, experiments)
    found = [Kept(place, read_experiment_record(path)) for place, path in files]
    return sorted(found, key=lambda item: (item.record.name, item.record.backbone))


def experiment_files(workspace: Workspace, experiments: Path) -> list[tuple[Workspace, Path]]:
    """The files of those records, each with the workspace that holds what it speaks of."""
    own = [Workspace(path) for path in sorted(experiments.glob(f"*/{RUNS}"))]
    return [
        (place, path)
        for place in (workspace, *own)
        for path in sorted(place.studies.glob(f"*/{RECORD_FILE}"))
    ]
