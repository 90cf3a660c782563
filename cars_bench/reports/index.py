"""The page that lists a workspace's reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from cars_bench import __version__
from cars_bench.atomic import write_text
from cars_bench.checksums import read_json
from cars_bench.documents import from_json
from cars_bench.errors import UsageError
from cars_bench.reports.render import render
from cars_bench.workspace import Workspace

REPORT = "report"
COMPARISON = "compare"
INDEX = "index.html"
EXPERIMENTS = "experiments"
PLAIN_MODULES = ("core", "table", "filter", "plain")
T = TypeVar("T")
BEST_FIRST = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True, kw_only=True)
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
class ReportSummary:
    """What the index shows of a `report.json`."""

    title: str
    verdict: Verdict
    cache: Cache | None = None
    data: Data | None = None

    @property
    def headline(self) -> str:
        """Its first sentence."""
        return self.verdict.headline

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
    def accuracies(self) -> tuple[Accuracy, ...]:
        """Those of heads and models, the last one first."""
        found = {(item.kind, item.split): item for item in self.verdict.baselines}
        return tuple(found[place] for place in BEST_FIRST if place in found)


@dataclass(frozen=True)
class ComparisonSummary:
    """What the index shows of a `compare.json`."""

    title: str
    headline: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One page of the workspace; but for its title empty where its numbers cannot be read.

    Attributes:
        href: From the index to the page.
        headline: Its first sentence.
        about: Backbone, images and classes, in words; of a report.
        accuracies: Those of heads and models, the last one first; of a report.
    """

    title: str
    href: str
    headline: str = ""
    about: str = ""
    accuracies: tuple[Accuracy, ...] = ()


SUMMARIES: dict[str, type[ReportSummary | ComparisonSummary]] = {
    REPORT: ReportSummary,
    COMPARISON: ComparisonSummary,
}


def write_index(workspace: Workspace) -> Path:
    """List every report and comparison in `reports/index.html`, replaced at once."""
    path = workspace.reports / INDEX
    page = render(
        "index.html.j2",
        PLAIN_MODULES,
        version=__version__,
        reports=tuple(entries(workspace.reports, REPORT)),
        comparisons=tuple(entries(workspace.reports, COMPARISON)),
        experiments=(workspace.reports / f"{EXPERIMENTS}.html").is_file(),
    )
    write_text(path, page)
    return path


def entries(folder: Path, kind: str) -> Iterator[Entry]:
    """The pages of a kind by name; one whose numbers cannot be read is listed by its name alone."""
    for page in sorted(folder.glob(f"*/{kind}.html")):
        yield _entry(page, _read(page.with_suffix(".json"), SUMMARIES[kind]))


def _entry(page: Path, said: ReportSummary | ComparisonSummary | None) -> Entry:
    href = quote(f"{page.parent.name}/{page.name}")
    if said is None:
        return Entry(title=page.parent.name, href=href)
    entry = Entry(title=said.title, href=href, headline=said.headline)
    if isinstance(said, ComparisonSummary):
        return entry
    return replace(entry, about=said.about, accuracies=said.accuracies)


def _read(path: Path, kind: type[T]) -> T | None:
    """What a page keeps beside it; `None` where that is missing or damaged."""
    try:
        return from_json(kind, read_json(path), partly=True)
    except (OSError, ValueError, UsageError):
        return None
