"""Heatmaps for runs that were finished without them: opens each model again."""

from __future__ import annotations

from pathlib import Path

from cars_bench.data.dataset import Dataset
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.looks import LOOKS_FILE, TABLE, write_looks
from cars_bench.finetune.plan import FINAL, RUN_FILE
from cars_bench.progress import Progress
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def look_again(workspace: Workspace, study: str | None, progress: Progress) -> list[Path]:
    """Write the file for every run of a study that predicted the test images and has none.

    Raises:
        StudyMissing: There is no such study.
        CacheStale: The images changed since.
    """
    opened = Study.open(workspace, study)
    folders = [path.parent for path in sorted(opened.folder.glob(f"{FINAL}/*/{RUN_FILE}"))]
    written = []
    for folder in folders:
        if (folder / TABLE).is_file() and not (folder / LOOKS_FILE).is_file():
            progress.log(f"Looking where {folder.name} looks")
            finished = FinishedModel.open(workspace, str(folder))
            dataset = Dataset.load(workspace, finished.document["dataset"]["name"])
            opened.require_dataset(dataset)
            written.append(write_looks(folder, finished.assembled(), dataset))
    return [path for path in written if path]
