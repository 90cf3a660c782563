"""The page that lists a workspace's reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cars_bench import __version__
from cars_bench.documents import from_json
from cars_bench.errors import UsageError
from cars_bench.reports.render import render
from cars_bench.workspace import Workspace, write_text

REPORT = "report"
COMPARISON = "compare"
INDEX = "index.html"
PLAIN_MODULES = ("core", "table", "filter", "plain")
BEST_FIRST = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True)
class Accuracy:
    """One accuracy as a report keeps it: top-1 in [0, 1] with its interval."""

    label: str
    kind: str
    split: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """What a report's `verdict` keeps for the index."""

    headline: str
    baselines: tuple[Accuracy, ...]


@dataclass(frozen=True)
class Cache:
    """What a report's `cache` keeps for the index: (name, value) pairs."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Data:
    """What a report's `data` keeps for the index."""

    images: int
    classes: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the index shows of a `report.json` or a `compare.json`; empty for what is not there.

    Attributes:
        headline: Of a comparison; that of a report stands in its verdict.
    """

    title: str = ""
    headline: str = ""
    verdict: Verdict | None = None
    cache: Cache | None = None
    data: Data | None = None

    @property
    def about(self) -> str:
        """Backbone, images and classes, in words."""
        words = []
        if self.cache:
            words.append(dict(self.cache.facts).get("Backbone", ""))
        if self.data:
            words.append(f"{self.data.images:,} images of {len(self.data.classes)} classes")
        return " · ".join(words)

    @property
    def accuracies(self) -> list[Accuracy]:
        """The last one first; without chance and probes."""
        baselines = self.verdict.baselines if self.verdict else ()
        found = {(item.kind, item.split): item for item in baselines}
        return [found[place] for place in BEST_FIRST if place in found]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One page of the workspace.

    Attributes:
        href: From the index to the page.
        headline: Its first sentence.
        about: Backbone, images and classes, in words.
        accuracies: Those of heads and models, the last one first.
    """

    title: str
    href: str
    headline: str
    about: str
    accuracies: list[Accuracy]


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


def _entry(page: Path, said: Summary) -> Entry:
    return Entry(
        title=said.title or page.parent.name,
        href=quote(f"{page.parent.name}/{page.name}"),
        headline=said.verdict.headline if said.verdict else said.headline,
        about=said.about,
        accuracies=said.accuracies,
    )


def _read(path: Path) -> Summary:
    """What a page keeps beside it; nothing where that is damaged."""
    try:
        return from_json(Summary, json.loads(path.read_bytes()), partly=True)
    except (OSError, ValueError, UsageError):
        return Summary()
