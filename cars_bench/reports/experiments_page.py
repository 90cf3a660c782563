"""Builds the page that lays published scores and ours side by side, and draws every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.atomic import write_json, write_text
from cars_bench.backbones.catalogue import OFFLINE_BACKBONE
from cars_bench.documents import to_json
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.majority import Majority
from cars_bench.experiments.baseline import baseline
from cars_bench.experiments.experiment import FOLDER
from cars_bench.experiments.record import ExperimentRecord, Kept, kept_experiments
from cars_bench.experiments.table import Row, rows_of
from cars_bench.progress import Progress
from cars_bench.reports.curves import Curve, curves_figure, curves_table
from cars_bench.reports.index import EXPERIMENTS, PLAIN_MODULES, write_index
from cars_bench.reports.render import check_size, render
from cars_bench.reports.words import Table
from cars_bench.workspace import Workspace

LOSS = "Training loss"
TOP1 = "Validation top-1"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One experiment as the page tells it.

    Attributes:
        record: What it came to.
        rows: Published scores and ours.
        curves: Of every attempt, by what is measured.
        unwarmed: Attempts that were fine-tuned from a fresh head.
        baseline: What the most frequent class alone scores on the test images.
    """

    record: ExperimentRecord
    rows: tuple[Row, ...]
    curves: dict[str, tuple[Curve, ...]]
    unwarmed: tuple[str, ...]
    baseline: Majority | None = None

    @property
    def offline(self) -> str:
        """Which attempts have the offline backbone: `all`, their names, or nothing."""
        names = [item.name for item in self.record.attempts if item.backbone == OFFLINE_BACKBONE]
        return "all" if len(names) == len(self.record.attempts) else ", ".join(names)

    @property
    def has_curves(self) -> bool:
        """Whether any attempt has epochs to draw."""
        return any(self.curves.values())


def build_experiments(workspace: Workspace, here: Path, progress: Progress | None = None) -> Path:
    """Write `reports/experiments.html` and `experiments.json`; and the index.

    Args:
        workspace: Takes the page; experiments that ran in its trays are on it.
        here: Folder whose `experiments/*/runs` are on it too.
        progress: Told what goes on.

    Raises:
        ModelMissing: No experiment was run.
        CarsBenchError: The page would exceed 5 MB.
    """
    kept = kept_experiments(workspace, here / FOLDER)
    if not kept:
        raise ModelMissing("No experiment was run here yet.", "cars-bench run experiments/NAME")
    (progress or Progress()).log(f"drawing {len(kept)} experiments")
    told = tuple(map(tell, kept))
    page = experiments_page(told)
    check_size(page)
    write_json(workspace.reports / f"{EXPERIMENTS}.json", as_json(told))
    path = workspace.reports / f"{EXPERIMENTS}.html"
    write_text(path, page)
    write_index(workspace)
    return path


def tell(kept: Kept) -> Told:
    """An experiment's table and curves as plain facts."""
    top1: list[Curve] = []
    loss: list[Curve] = []
    unwarmed: list[str] = []
    for attempt in kept.record.attempts:
        found = kept.curves(attempt)
        if not (found.head or found.tuned):
            continue
        before = found.head if found.warm else ()
        begins = len(before)
        shown = [(item.epoch, item) for item in before]
        shown += [(begins + item.epoch, item) for item in found.tuned]
        top1.append(Curve(attempt.name, tuple((at, item.val_top1) for at, item in shown)))
        loss.append(Curve(attempt.name, tuple((at, item.train_loss) for at, item in shown)))
        unwarmed += [] if found.warm else [attempt.name]
    return Told(
        record=kept.record,
        rows=rows_of(kept.record),
        curves={TOP1: tuple(top1), LOSS: tuple(loss)},
        unwarmed=tuple(unwarmed),
        baseline=baseline(kept.workspace, kept.record),
    )


def experiments_page(told: Sequence[Told]) -> str:
    """The page; the same facts give the same text."""
    return render(
        "experiments.html.j2",
        PLAIN_MODULES,
        told=told,
        rows=[row for item in told for row in item.rows],
        drawings={place: figures(item, place) for place, item in enumerate(told)},
        tables={place: numbers(item) for place, item in enumerate(told)},
        offline=OFFLINE_BACKBONE,
        version=__version__,
    )


def figures(told: Told, place: int) -> Markup:
    """Validation top-1 and training loss of all attempts, side by side where there is room."""
    if not told.has_curves:
        return Markup("")
    note = "Head first, then fine-tuning; a fresh head begins with the fine-tuning."
    drawn = [
        curves_figure(f"e{place}-accuracy", TOP1, told.curves[TOP1], share=True, note=note),
        curves_figure(f"e{place}-loss", LOSS, told.curves[LOSS], note=note),
    ]
    return Markup('<div class="panels">{}</div>').format(Markup("").join(drawn))


def numbers(told: Told) -> Table:
    """Every epoch of every attempt."""
    return curves_table(dict(told.curves))


def as_json(told: Sequence[Told]) -> dict[str, object]:
    """The page's facts as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "cars_bench": __version__,
        "table": [to_json(row) for item in told for row in item.rows],
        "experiments": [
            to_json(item.record)
            | {"baseline": to_json(item.baseline),
               "curves": {name: [to_json(curve) for curve in curves]
                          for name, curves in item.curves.items()}}
            for item in told
        ],
    }  # fmt: skip
