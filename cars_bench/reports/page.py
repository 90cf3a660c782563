"""Builds a study's report: asks every section for its figures and tables, fills the templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from cars_bench import __version__
from cars_bench.atomic import write_json, write_text
from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.comparison import ClassChange
from cars_bench.evaluation.groups import class_groups
from cars_bench.progress import Progress
from cars_bench.reports.index import write_index
from cars_bench.reports.inputs import Inputs, Json, read_inputs
from cars_bench.reports.pictures import (
    ATLAS_COLUMNS,
    ATLAS_HEIGHT,
    ATLAS_WIDTH,
    Atlas,
    Thumbnails,
    make_atlas,
)
from cars_bench.reports.render import Missing, check_size, island, render
from cars_bench.reports.report import Report, gather, trial_columns, write_tables
from cars_bench.reports.sections import (
    boxes,
    cache_fidelity,
    class_counts,
    data,
    errors,
    features,
    finetune,
    hyperparameters,
    looks,
    ranks,
    sampling,
    search,
    verdict,
    winner,
)
from cars_bench.reports.svg import Figures
from cars_bench.reports.words import Tables, trial_settings
from cars_bench.tuning.ledger import Trial
from cars_bench.workspace import Workspace

THUMBNAIL_BYTES = 1_400_000
MODULES = (
    "core",
    "table",
    "filter",
    "trial",
    "parallel",
    "map",
    "confusion",
    "gallery",
    "files",
    "main",
)
MARKS = {"val": "○", "test": "●"}
MISSING = {
    "data": Missing("The study's dataset is not in this workspace.", "cars-bench prepare SOURCE"),
    "cache": Missing("No features are in this workspace.", "cars-bench extract"),
    "search": Missing("No head has been tried on these features.", "cars-bench tune --trials 100"),
    "winner": Missing("No trial has completed yet.", "cars-bench tune --trials 100"),
    "runs": Missing("No head has been fine-tuned.", "cars-bench finetune --best"),
    "cache_fidelity": Missing(
        "Whether the head that wins on the cache wins after fine-tuning has not been measured.",
        "cars-bench fidelity",
    ),
    "mistakes": Missing(
        "The test images have not been predicted. Fine-tuning does it when nothing is left to "
        "choose; cars-bench evaluate asks the frozen winner.",
        "cars-bench finetune --best",
    ),
}
"""What a section waits for, by the part of the report that it shows."""
ISLAND_COLUMNS = (
    "trial_id",
    "score",
    "values",
    "curve",
    "best_epoch",
    "single",
    "seeds",
    "winner",
)
"""What the interactive parts read of a trial."""


def build_report(
    workspace: Workspace, study_name: str | None = None, progress: Progress | None = None
) -> Path:
    """Write `reports/STUDY/`: `report.html`, `report.json`, the tables as CSV; and the index.

    Args:
        workspace: Where the study is and the report goes.
        study_name: The study; by default the last one. Where none exists yet
            the report is about the dataset and its cache.
        progress: Says what is being done.

    Returns:
        The HTML file.

    Raises:
        StudyMissing: There is no study of that name.
        InputError: There is nothing to report on.
        CarsBenchError: The page would exceed 5 MB.
    """
    inputs = read_inputs(workspace, study_name)
    report = gather(inputs)
    (progress or Progress()).log(f"drawing the report of {report.title}")
    page = report_page(report, inputs)
    check_size(page)
    folder = workspace.reports / report.title
    write_tables(folder, report)
    write_text(folder / "report.html", page)
    write_json(folder / "report.json", report.to_json())  # last: it vouches for the page
    write_index(workspace)
    return folder / "report.html"


def report_page(report: Report, inputs: Inputs) -> str:
    """The page of a report; the same facts and pictures give the same text."""
    return render("report.html.j2", MODULES, **page_context(report, inputs))


def page_context(report: Report, inputs: Inputs) -> dict[str, Any]:
    """Everything that the template of the report names."""
    thumbnails = Thumbnails(inputs.dataset, THUMBNAIL_BYTES)
    atlas = make_atlas(thumbnails, _atlas_images(report, inputs))
    return {
        "atlas": atlas,
        "names": inputs.class_names,
        "report": report,
        "marks": MARKS,
        "version": __version__,
        "missing": MISSING,
        "from_scratch": inputs.from_scratch,
        "drawings": figures(report),
        "numbers": tables(report),
        "boxed": data.figure(inputs, report.data),
        "sheets": features.figure(inputs),
        "examples": class_examples(report, inputs),
        "looked": looks.figure(report.looks, inputs.dataset, thumbnails),
        "both_boxes": boxes.pictures(report.boxes, inputs.dataset, thumbnails),
        "thumbnails": thumbnails,
        "files": inputs.files,
        "island": island(island_document(report, inputs, atlas)),
    }


def figures(report: Report) -> Figures:
    """Every figure for which the numbers exist."""
    drawn = (section.figure(*facts) for section, facts in _sections(report))
    return {name: figure for found in drawn for name, figure in found.items()}


def tables(report: Report) -> Tables:
    """The numbers beneath every figure, by the figure's name."""
    written = (section.table(*facts) for section, facts in _sections(report))
    return {name: table for found in written for name, table in found.items()}


def _sections(report: Report) -> Iterator[tuple[ModuleType, tuple[Any, ...]]]:
    """The sections that draw numbers and write them down, each with the facts that it takes."""
    yield verdict, (report.verdict,)
    yield finetune, (report.runs, _changes(report))
    if report.search:
        yield search, (report.search,)
    if report.search and report.importance:
        yield hyperparameters, (report.search.varied, report.importance)
    alone = (
        (sampling, report.sampling),
        (winner, report.winner),
        (ranks, report.ranks),
        (cache_fidelity, report.cache_fidelity),
        (errors, report.mistakes),
        (class_counts, report.counts),
        (boxes, report.boxes),
    )
    yield from ((section, (facts,)) for section, facts in alone if facts)


def _changes(report: Report) -> tuple[ClassChange, ...]:
    return report.mistakes.gains if report.mistakes else ()


def class_examples(report: Report, inputs: Inputs, each: int = 3) -> dict[str, list[str]]:
    """Training images of every class that stands in a confused pair."""
    if report.mistakes is None or inputs.dataset is None:
        return {}
    wanted = {name for pair in report.mistakes.pairs for name in (pair.true, pair.predicted)}
    found = _training_images(inputs.dataset)
    return {name: found[name][:each] for name in sorted(wanted)}


def _training_images(dataset: Dataset) -> dict[str, list[str]]:
    """Training images of every class, in the order of the labels."""
    found: dict[str, list[str]] = {name: [] for name in dataset.class_names}
    for record in dataset.records("train"):
        found[dataset.class_names[record.label]].append(record.image_id)
    return found


def _first_images(inputs: Inputs) -> dict[str, str]:
    """A training image of every class that has one."""
    found = _training_images(inputs.dataset) if inputs.dataset else {}
    return {name: images[0] for name, images in found.items() if images}


def _atlas_images(report: Report, inputs: Inputs) -> list[str]:
    """One training image of every class for the confusion canvas, then the points of the map."""
    if inputs.dataset is None:
        return []
    points = report.features.points if report.features else ()
    return [*_first_images(inputs).values(), *(point.image_id for point in points)]


def _first_group(inputs: Inputs) -> dict[str, str]:
    """The property by which the confusion canvas is ordered: each class to its group."""
    given = inputs.dataset.card.groups if inputs.dataset else None
    return next(iter(class_groups(inputs.class_names, given).values()), {})


def island_document(report: Report, inputs: Inputs, atlas: Atlas) -> Json:
    """What the interactive parts read; the same numbers as the page's tables and figures."""
    rows = report.search.rows if report.search else ()
    groups = _first_group(inputs)
    settings = {trial.trial_id: trial_settings(trial) for trial in _tried(inputs)}
    varied = report.search.hyperparameters if report.search else ()
    points = report.features.points if report.features else ()
    groups = _first_group(inputs)
    return {
        "title": report.title,
        "classes": [[name, groups.get(name, "")] for name in inputs.class_names],
        "trials": [
            {name: getattr(row, name) for name in ISLAND_COLUMNS}
            | {"settings": settings.get(row.trial_id, ())}
            for row in rows
        ],
        "csv": _csv(report),
        "hyperparameters": [
            {name: value for name, value in asdict(item).items() if name != "values"}
            for item in varied
        ],
        "tile": [ATLAS_WIDTH, ATLAS_HEIGHT, ATLAS_COLUMNS],
        "points": [_point(point, atlas) for point in points],
        "matrix": report.mistakes.matrix if report.mistakes else [],
        "confusion_order": report.mistakes.order if report.mistakes else [],
        "class_tiles": _class_tiles(inputs, atlas),
    }


def _tried(inputs: Inputs) -> list[Trial]:
    return [row.trial for row in inputs.board]


def _csv(report: Report) -> Json:
    """The table of trials as `trials.csv` has it, a row by its trial."""
    rows = trial_columns(report.search) if report.search else []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    by_trial = {row["trial_id"]: [row.get(name) for name in columns] for row in rows}
    return {"columns": columns, "rows": by_trial}


def _point(point: features.Point, atlas: Atlas) -> list[Any]:
    predicted = -1 if point.predicted is None else point.predicted
    tile = atlas.tiles.get(point.image_id, -1)
    return [point.x, point.y, point.label, predicted, tile, point.image_id]


def _class_tiles(inputs: Inputs, atlas: Atlas) -> list[int]:
    """The tile of a training image of each class, by label; -1 where there is none."""
    if inputs.dataset is None:
        return []
    firsts = _first_images(inputs)
    return [atlas.tiles.get(firsts.get(name, ""), -1) for name in inputs.class_names]
