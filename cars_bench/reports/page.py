"""From a report's facts to what its page shows: figures, pictures and the island of data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from cars_bench import __version__
from cars_bench.evaluation.groups import parse_name
from cars_bench.reports import finish_figures, search_figures
from cars_bench.reports.atlas import COLUMNS, TILE_HEIGHT, TILE_WIDTH, Atlas, make_atlas
from cars_bench.reports.contact import contact_strips
from cars_bench.reports.facts import Report
from cars_bench.reports.features import Point
from cars_bench.reports.inputs import Json, Sources
from cars_bench.reports.island import island
from cars_bench.reports.looks import pictures
from cars_bench.reports.numbers import tables
from cars_bench.reports.render import Missing
from cars_bench.reports.thumbnails import Thumbnails

THUMBNAIL_BYTES = 1_400_000
MODULES = (
    "core",
    "table",
    "filter",
    "trial",
    "parallel",
    "map",
    "twins",
    "confusion",
    "gallery",
    "main",
)
MARKS = {"val": "○", "test": "●"}


def page_context(report: Report, sources: Sources) -> dict[str, Any]:
    """Everything that the template of the report names."""
    thumbnails = Thumbnails(sources.dataset, THUMBNAIL_BYTES)
    atlas = make_atlas(thumbnails, _atlas_images(report, sources))
    return {
        "atlas": atlas,
        "names": sources.class_names,
        "report": report,
        "marks": MARKS,
        "version": __version__,
        "missing": missing_parts(report),
        "drawings": drawings(report),
        "numbers": tables(report),
        "strips": contact_strips(sources),
        "examples": class_examples(report, sources),
        "looked": pictures(report.looks, sources.dataset, thumbnails),
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
        "winner": Missing("No trial has completed yet.", "cars-bench tune --trials 100"),
        "runs": Missing("No head has been fine-tuned.", "cars-bench finetune --best"),
        "mistakes": Missing(
            "The test images have not been predicted.", "cars-bench finetune --best"
        ),
    }
    return {name: part for name, part in parts.items() if not getattr(report, name)}


def drawings(report: Report) -> dict[str, Markup]:
    """Every figure for which the numbers exist."""
    drawn = {"ladder": finish_figures.ladder(report.verdict)} if report.verdict.rungs else {}
    return drawn | _search_drawings(report) | _finish_drawings(report)


def _search_drawings(report: Report) -> dict[str, Markup]:
    search, drawn = report.search, {}
    if search is None or not search.history:
        return {}
    drawn["history"] = search_figures.history(search)
    if any(row.curve for row in search.rows):
        drawn["curves"] = search_figures.learning_curves(search)
    if report.importance and report.importance.overall:
        drawn["importance"] = search_figures.importances(report.importance)
    if search.hyperparameters:
        drawn["slices"] = search_figures.slices(search)
    return drawn


def _finish_drawings(report: Report) -> dict[str, Markup]:
    drawn, mistakes = {}, report.mistakes
    for number, run in enumerate(report.runs):
        if run.history:
            drawn[f"run{number}"] = finish_figures.finetune_curve(run, number)
    if report.winner:
        drawn["contenders"] = finish_figures.contenders(report.winner)
    if report.ranks:
        drawn["ranks"] = finish_figures.rank_slopes(report.ranks)
    if mistakes:
        drawn["reliability"] = finish_figures.reliability(mistakes)
        if any(gain.change for gain in mistakes.gains):
            drawn["gains"] = finish_figures.gains(mistakes.gains)
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
    kept = (
        "trial_id",
        "score",
        "values",
        "head_spec",
        "training_spec",
        "curve",
        "best_epoch",
        "single",
        "seeds",
    )
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
