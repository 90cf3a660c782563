"""The table beneath each figure: the same numbers, for whoever cannot or will not see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cars_bench.reports.facts import Report
from cars_bench.reports.finish import RunFacts
from cars_bench.reports.importance import Importance, ImportanceFacts
from cars_bench.reports.mistakes import MistakeFacts
from cars_bench.reports.search import SearchFacts, short
from cars_bench.reports.verdict import percent

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Headings, and rows of as many cells; the first cell of a row names it."""

    headings: Cells
    rows: tuple[Cells, ...]


def tables(report: Report) -> dict[str, Table]:
    """The table of every figure that has none of its own in a template, by the figure's name."""
    found = {f"run{number}": epochs(run) for number, run in enumerate(report.runs)}
    if report.search:
        found |= {"history": history(report.search), "curves": curves(report.search)}
        found["slices"] = slices(report.search)
    if report.importance and report.importance.overall:
        found["importance"] = importance(report.importance)
    if report.mistakes:
        found |= {"reliability": reliability(report.mistakes), "gains": gains(report.mistakes)}
    return {name: table for name, table in found.items() if table.rows}


def history(search: SearchFacts) -> Table:
    """Every completed trial as it was proposed, and the best so far."""
    best = dict(search.best_so_far)
    rows = [
        (str(order + 1), trial, percent(score, 2), percent(best[order], 2))
        for order, trial, score in search.history
    ]
    return Table(("Order", "Trial", "Top-1", "Best so far"), tuple(rows))


def curves(search: SearchFacts) -> Table:
    """Validation top-1 of every epoch, a row a trial."""
    rows = [
        (row.trial_id, str(row.epochs), "yes" if row.stopped else "",
         " ".join(f"{100 * value:.1f}" for _, value in row.curve))
        for row in search.rows
        if row.curve
    ]  # fmt: skip
    return Table(("Trial", "Epochs", "Stopped early", "Top-1 by epoch, in percent"), tuple(rows))


def slices(search: SearchFacts) -> Table:
    """Every completed trial with the hyperparameters that varied."""
    varied = search.hyperparameters
    rows = [
        (trial, percent(score, 2), *(short(item.values.get(trial, "–")) for item in varied))
        for _, trial, score in sorted(search.history, key=lambda point: -point[2])
    ]
    return Table(("Trial", "Top-1", *(item.name for item in varied)), tuple(rows) if varied else ())


def importance(facts: ImportanceFacts) -> Table:
    """Shares with intervals, over all trials and over the better half."""
    half = {item.name: item for item in facts.top_half}
    rows = [(i.name, *_share(i), *_share(half.get(i.name))) for i in facts.overall]
    over = ("Over all", "95% interval", "Over the better half", "95% interval")
    return Table(("Hyperparameter", *over), tuple(rows))


def _share(item: Importance | None) -> Cells:
    if item is None:
        return "not estimated", ""
    return percent(item.value, 0), f"{percent(item.low, 0)} to {percent(item.high, 0)}"


def epochs(run: RunFacts) -> Table:
    """One row an epoch of fine-tuning."""
    names = ("train_loss", "val_loss", "val_top1", "learning_rate", "seconds")
    rows = [
        (str(item.epoch) + " ★" * (item.epoch == run.best_epoch),
         *("" if (v := getattr(item, name)) is None else f"{v:.4g}" for name in names))
        for item in run.history
    ]  # fmt: skip
    titles = ("Train loss", "Val loss", "Val top-1", "Head's rate", "Seconds")
    return Table(("Epoch (★ kept)", *titles), tuple(rows))


def reliability(mistakes: MistakeFacts) -> Table:
    """One row a bin of the model's own probability."""
    rows = [
        (f"{percent(b.low, 0)} to {percent(b.high, 0)}", f"{b.n:,}",
         percent(b.confidence), percent(b.accuracy))
        for b in mistakes.bins
    ]  # fmt: skip
    return Table(("Probability", "Images", "Mean probability", "Share right"), tuple(rows))


def gains(mistakes: MistakeFacts) -> Table:
    """Recall of every class before and after, biggest gain first."""
    return Table(("Class", "Images", "Before", "After", "Points"), tuple(_gains(mistakes)))


def _gains(mistakes: MistakeFacts) -> Iterable[Cells]:
    for gain in mistakes.gains:
        shares = (percent(gain.before, 0), percent(gain.after, 0))
        yield gain.name, str(gain.n), *shares, f"{100 * gain.change:+.0f}"
