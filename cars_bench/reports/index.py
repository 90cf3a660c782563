"""The page that lists a workspace's reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cars_bench import __version__
from cars_bench.reports.inputs import Json
from cars_bench.reports.render import render
from cars_bench.workspace import Workspace, write_text

REPORT = "report"
COMPARISON = "compare"
INDEX = "index.html"
PLAIN_MODULES = ("core", "table", "filter", "plain")
BEST_FIRST = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True)
class Entry:
    """One page of the workspace.

    Attributes:
        href: From the index to the page.
        headline: Its first sentence.
        about: Backbone, images and classes, in words.
        baselines: (label, split, top-1, low, high) of its accuracies, the last one first.
    """

    title: str
    href: str
    headline: str
    about: str
    baselines: tuple[tuple[str, str, float, float, float], ...]


def write_index(workspace: Workspace) -> Path:
    """List every report and comparison in `reports/index.html`, replaced at once."""
    path = workspace.reports / INDEX
    page = render(
        "index.html.j2",
        PLAIN_MODULES,
        version=__version__,
        reports=tuple(entries(workspace.reports, REPORT)),
        comparisons=tuple(entries(workspace.reports, COMPARISON)),
    )
    write_text(path, page)
    return path


def entries(folder: Path, kind: str) -> Iterator[Entry]:
    """The pages of a kind by name; one whose numbers cannot be read is listed by its name alone."""
    for page in sorted(folder.glob(f"*/{kind}.html")):
        yield _entry(page, _read(page.with_suffix(".json")))


def _entry(page: Path, document: Json) -> Entry:
    verdict = document.get("verdict") or {}
    return Entry(
        title=str(document.get("title") or page.parent.name),
        href=quote(f"{page.parent.name}/{page.name}"),
        headline=str(verdict.get("headline") or document.get("headline") or ""),
        about=" · ".join(_about(document)),
        baselines=tuple(_baselines(verdict.get("baselines") or [])),
    )


def _about(document: Json) -> Iterator[str]:
    cache, data = document.get("cache"), document.get("data")
    if isinstance(cache, dict):
        yield str(dict(cache["facts"]).get("Backbone", ""))
    if isinstance(data, dict):
        yield f"{data['images']:,} images of {len(data['classes'])} classes"


def _baselines(baselines: list[Json]) -> Iterator[tuple[str, str, float, float, float]]:
    found = {(baseline["kind"], baseline["split"]): baseline for baseline in baselines}
    for place in BEST_FIRST:
        if place in found:
            baseline = found[place]
            yield (
                baseline["label"],
                baseline["split"],
                baseline["value"],
                baseline["low"],
                baseline["high"],
            )


def _read(path: Path) -> Json:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
