"""Which dataset an attempt has of a source, and whether it is still what lies there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cars_bench.checksums import checksum
from cars_bench.data.dataset import Dataset
from cars_bench.data.prepare import PrepareOptions
from cars_bench.detectors.choose import SOURCE
from cars_bench.detectors.prepare import BoxesAsked
from cars_bench.documents import to_json
from cars_bench.errors import DatasetMissing
from cars_bench.experiments.config import Data
from cars_bench.experiments.experiment import Experiment, Planned
from cars_bench.experiments.names import DIGITS, dataset_name, study_name
from cars_bench.workspace import Workspace

PREPARED = ("columns", "split", "seed", "crop", "allow_missing")
"""Data that `prepare` takes as it stands."""


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """An experiment and where its pictures are.

    A dataset is told by the path of its source, and prepared again where anything there has
    another size or time than when it was read; a study and a result are told by what the
    dataset holds, so that they outlive a source that was only moved or touched.

    Attributes:
        experiment: The experiment.
        path: Whole path of the folder or the label file.
    """

    experiment: Experiment
    path: Path

    def dataset(self, wanted: Planned) -> str:
        """Name of an attempt's dataset: two sources have two."""
        return f"{dataset_name(self.experiment, wanted)}-{checksum(str(self.path))[:DIGITS]}"

    def sharing(self, wanted: Planned) -> list[str]:
        """Names of the attempts that have an attempt's dataset, its own among them."""
        name = self.dataset(wanted)
        return [item.name for item in self.experiment.planned if self.dataset(item) == name]

    def study(self, wanted: Planned, content: str) -> str:
        """Name of an attempt's study on a dataset of this content."""
        return f"{study_name(self.experiment, wanted)}-{content[:DIGITS]}"

    def data(self, wanted: Planned) -> Data:
        """The attempt's, with this source."""
        return replace(wanted.data, source=str(self.path))

    def contents(self, workspace: Workspace, states: Mapping[str, str]) -> dict[str, str]:
        """Digest of each attempt's dataset, by the attempt's name.

        Args:
            workspace: Holds the datasets.
            states: As `state_of` said when they were prepared, by their names.

        Returns:
            Without the attempts whose dataset is to be prepared, for the first time or again.
        """
        names = {item.name: self.dataset(item) for item in self.experiment.planned}
        found: dict[str, str] = {}
        for name, wanted in {names[item.name]: item for item in self.experiment.planned}.items():
            dataset = _loaded(workspace, name)
            if dataset and states.get(name) == state_of(dataset, self.data(wanted)):
                found[name] = dataset.digest
        return {attempt: found[name] for attempt, name in names.items() if name in found}


def state_of(dataset: Dataset, asked: Data) -> str:
    """Checksum of what a dataset was asked to be, holds, and was read from as that looks now.

    What it was read from are its images, their folders and the label file: their sizes and
    times, since they are too many to be read at every start.
    """
    origin = dataset.card.source
    images = {Path(path) for path in dataset.table["path"]}
    root = Path(origin.images)
    near = {path.parent for path in images}
    above = {folder for path in near for folder in path.parents if folder.is_relative_to(root)}
    seen = [_stamp(path) for path in sorted({*images, *near, *above, Path(origin.labels)})]
    return checksum([to_json(asked), dataset.digest, seen])


def prepare_options(data: Data, source: Path) -> tuple[PrepareOptions, BoxesAsked]:
    """An attempt's data as `prepare` takes it."""
    said = data.said()
    paths = data.paths(source)
    options = PrepareOptions(
        source=source,
        **{key: said[key] for key in PREPARED if key in said},
        labels=paths.get("labels"),
        images=paths.get("images"),
    )
    asked = BoxesAsked(
        boxes=data.boxes or SOURCE,
        classes=data.detect_classes,
        threshold=data.detect_threshold,
        margin=data.crop_margin,
    )
    return options, asked


def _loaded(workspace: Workspace, name: str) -> Dataset | None:
    try:
        return Dataset.load(workspace, name)
    except DatasetMissing:
        return None


def _stamp(path: Path) -> tuple[str, int, int]:
    """Path, size in bytes and time in nanoseconds; both 0 where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), found.st_size, found.st_mtime_ns)
