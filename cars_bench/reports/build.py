"""Builds a study's report: gather facts, draw, render, write."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.errors import CarsBenchError
from cars_bench.evaluation.groups import parse_name
from cars_bench.progress import Progress
from cars_bench.reports import figures
from cars_bench.reports.atlas import COLUMNS, TILE_HEIGHT, TILE_WIDTH, Atlas, make_atlas
from cars_bench.reports.features import FeatureFacts, Point, feature_facts
from cars_bench.reports.finish import RunFacts, run_facts
from cars_bench.reports.importance import ImportanceFacts, importance_facts
from cars_bench.reports.island import island
from cars_bench.reports.mistakes import MistakeFacts, mistake_facts
from cars_bench.reports.optimism import Optimism, optimism
from cars_bench.reports.render import Missing, render
from cars_bench.reports.search import SearchFacts, search_facts
from cars_bench.reports.sources import Json, Sources, read_sources
from cars_bench.reports.tables import (
    CacheFacts,
    DataFacts,
    Reproduce,
    cache_facts,
    data_facts,
    reproduce,
)
from cars_bench.reports.thumbnails import Thumbnails
from cars_bench.reports.verdict import Verdict, verdict
from cars_bench.workspace import Workspace, write_json, write_text

WARN_BYTES, LIMIT_BYTES = 3_000_000, 5_000_000
THUMBNAIL_BYTES = 1_400_000
MODULES = ("core", "table", "filter", "trial", "parallel", "map", "confusion", "gallery", "main")
ICONS = {"chance": "·", "probe": "◇", "frozen": "○", "finetuned": "■"}


@dataclass(frozen=True)
class Report:
    """Everything a report says, as plain data; `report.json` is this."""

    title: str
    verdict: Verdict
    reproduce: Reproduce
    data: DataFacts | None
    cache: CacheFacts | None
    features: FeatureFacts | None
    search: SearchFacts | None
    importance: ImportanceFacts | None
    optimism: Optimism | None
    runs: tuple[RunFacts, ...]
    mistakes: MistakeFacts | None

    def to_json(self) -> Json:
        """Plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, "cars_bench": __version__} | asdict(self)


def build_report(
    workspace: Workspace, study_name: str | None = None, progress: Progress | None = None
) -> Path:
    """Write `reports/STUDY/`: `report.html`, `report.json` and the tables as CSV.

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
    progress = progress or Progress()
    sources = read_sources(workspace, study_name)
    report = gather(sources)
    progress.log(f"drawing the report of {report.title}")
    page = render("report.html.j2", MODULES, **_context(report, sources))
    check_size(page)
    folder = workspace.reports / report.title
    write_tables(folder, report)
    write_json(folder / "report.json", report.to_json())
    write_text(folder / "report.html", page)
    return folder / "report.html"


def gather(sources: Sources) -> Report:
    """Compute every fact of the report, without drawing anything."""
    name = sources.dataset.name if sources.dataset else "workspace"
    search = search_facts(sources)
    return Report(
        title=sources.study_name or name,
        verdict=verdict(sources),
        reproduce=reproduce(sources),
        data=data_facts(sources),
        cache=cache_facts(sources),
        features=feature_facts(sources),
        search=search,
        importance=importance_facts(search),
        optimism=optimism(sources),
        runs=run_facts(sources),
        mistakes=mistake_facts(sources),
    )


def check_size(page: str) -> None:
    """Refuse a page that nobody could be sent.

    Raises:
        CarsBenchError: It exceeds 5 MB.
    """
    size = len(page.encode())
    if size > LIMIT_BYTES:
        raise CarsBenchError(
            f"The report would be {size / 1e6:.1f} MB, above its limit of "
            f"{LIMIT_BYTES / 1e6:.0f} MB.",
            "report a study with fewer trials or classes",
        )


def write_tables(folder: Path, report: Report) -> None:
    """Write the numbers of the tables as CSV, one file a table."""
    if report.search:
        rows = [_flat(asdict(row)) for row in report.search.rows]
        _write_csv(folder / "trials.csv", rows)
    if report.data:
        _write_csv(folder / "classes.csv", [asdict(row) for row in report.data.classes])
    if report.mistakes:
        pairs = [asdict(pair) for pair in report.mistakes.pairs]
        _write_csv(
            folder / "confusions.csv", [p | {"images": " ".join(p["images"])} for p in pairs]
        )


def _flat(row: Json) -> Json:
    """A leaderboard row without its nested specs; its hyperparameters as columns."""
    nested = ("values", "head_spec", "training_spec", "curve")
    kept = {name: value for name, value in row.items() if name not in nested}
    return kept | {f"value.{name}": value for name, value in row["values"].items()}


def _write_csv(path: Path, rows: list[Json]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _context(report: Report, sources: Sources) -> dict[str, Any]:
    thumbnails = Thumbnails(sources.dataset, THUMBNAIL_BYTES)
    atlas = make_atlas(thumbnails, _atlas_images(report, sources))
    return {
        "atlas": atlas,
        "names": sources.class_names,
        "report": report,
        "icons": ICONS,
        "version": __version__,
        "missing": missing_parts(report),
        "drawings": drawings(report),
        "examples": class_examples(report, sources),
        "thumbnails": thumbnails,
        "island": island(island_document(report, sources, atlas)),
    }


def missing_parts(report: Report) -> dict[str, Missing]:
    """What each absent section waits for."""
    parts = {
        "data": Missing("The dataset is not in this workspace.", "cars-bench prepare SOURCE"),
        "cache": Missing("No features are in this workspace.", "cars-bench extract"),
        "search": Missing(
            "No head has been tried on these features.", "cars-bench tune --trials 100"
        ),
        "runs": Missing("No head has been fine-tuned.", "cars-bench finetune --best"),
        "mistakes": Missing(
            "The test images have not been predicted.", "cars-bench finetune --best"
        ),
    }
    return {name: part for name, part in parts.items() if not getattr(report, name)}


def drawings(report: Report) -> dict[str, Markup]:
    """Every figure for which the numbers exist."""
    drawn = {}
    search, mistakes = report.search, report.mistakes
    if report.verdict.rungs:
        drawn["ladder"] = figures.ladder(report.verdict)
    if search and search.history:
        drawn["history"] = figures.history(search)
        if any(row.curve for row in search.rows):
            drawn["curves"] = figures.learning_curves(search)
        if report.importance and report.importance.overall:
            drawn["importance"] = figures.importances(report.importance)
        if search.hyperparameters:
            drawn["slices"] = figures.slices(search)
    for number, run in enumerate(report.runs):
        if run.history:
            drawn[f"run{number}"] = figures.finetune_curve(run, number)
    if mistakes:
        drawn["reliability"] = figures.reliability(mistakes)
        if any(gain.change for gain in mistakes.gains):
            drawn["gains"] = figures.gains(mistakes)
    return drawn


def class_examples(report: Report, sources: Sources, each: int = 3) -> dict[str, list[str]]:
    """Training images of every class that stands in a confused pair."""
    if report.mistakes is None or sources.dataset is None:
        return {}
    wanted = {name for pair in report.mistakes.pairs for name in (pair.true, pair.predicted)}
    train = sources.dataset.split("train")
    return {
        name: [str(item) for item in train.loc[train["class_name"] == name, "image_id"].head(each)]
        for name in sorted(wanted)
    }


def _atlas_images(report: Report, sources: Sources) -> list[str]:
    """One test image of every class for the confusion canvas, then the points of the map."""
    if sources.dataset is None:
        return []
    firsts = sources.dataset.split("train").drop_duplicates("label").sort_values("label")
    points = report.features.points if report.features else ()
    return [str(name) for name in firsts["image_id"]] + [point.image_id for point in points]


def island_document(report: Report, sources: Sources, atlas: Atlas) -> Json:
    """What the interactive parts read; the same numbers as the page's tables and figures."""
    rows = report.search.rows if report.search else ()
    kept = ("trial_id", "score", "values", "head_spec", "training_spec", "curve", "best_epoch")
    varied = report.search.hyperparameters if report.search else ()
    return {
        "title": report.title,
        "classes": [[name, parse_name(name).make] for name in sources.class_names],
        "trials": [{name: asdict(row)[name] for name in kept} for row in rows],
        "hyperparameters": [
            {k: v for k, v in asdict(item).items() if k != "values"} for item in varied
        ],
        "tile": [TILE_WIDTH, TILE_HEIGHT, COLUMNS],
        "points": [
            _point(point, atlas) for point in (report.features.points if report.features else ())
        ],
        "matrix": report.mistakes.matrix if report.mistakes else [],
        "class_tiles": _class_tiles(sources, atlas),
    }


def _point(point: Point, atlas: Atlas) -> list[Any]:
    predicted = -1 if point.predicted is None else point.predicted
    return [point.x, point.y, point.label, predicted, atlas.tiles.get(point.image_id, -1)]


def _class_tiles(sources: Sources, atlas: Atlas) -> list[int]:
    """The tile of a training image of each class, by label; -1 where there is none."""
    if sources.dataset is None:
        return []
    firsts = sources.dataset.split("train").drop_duplicates("label").set_index("label")["image_id"]
    labels = range(len(sources.class_names))
    return [atlas.tiles.get(str(firsts.get(label, "")), -1) for label in labels]
