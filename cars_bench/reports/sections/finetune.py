"""Fine-tuning: curves, accuracies with intervals, and what it changed class by class."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cars_bench.cache.manifest import Manifest
from cars_bench.evaluation.comparison import ClassChange
from cars_bench.finetune.run_record import RunRecord
from cars_bench.finetune.runs import FROZEN, MEASURED, Run
from cars_bench.progress import size
from cars_bench.reports.accuracies import Baseline, accuracies
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.sections.features import policy
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PHONE_WIDTH,
    PURPLE,
    VERMILLION,
    Figures,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.words import Pairs, Table, Tables, count, percent, points
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import Schedule, TrainingSpec

LABEL_GROUND = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
"""Behind a label, so that no line strikes it through."""
NAME_WIDTH = 24
MOST_CLASSES = 10
"""Classes shown that gained most, and as many that lost most."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One fine-tuning run.

    Attributes:
        chosen: It is the one the verdict speaks of (best on validation).
        accuracies: Frozen and fine-tuned, on each split that was measured.
        start: Validation top-1 of the head's training that it carries, on frozen features.
        unfrozen: What was unfrozen before the first epoch; empty where nothing was.
        backbone_rate: Rate of the unfrozen layers as a share of the head's.
        training_seconds: Wall time of all epochs.
        seconds: Wall time of the run's last session: of all of it, unless it was resumed.
        facts: (name, value) pairs for people.
        boundary: The same of the second cache, which it was trained from; empty where it was not.
    """

    name: str
    trial_id: str
    chosen: bool
    best_epoch: int
    history: tuple[EpochResult, ...]
    accuracies: tuple[Baseline, ...]
    start: float | None
    unfrozen: str
    backbone_rate: float
    training_seconds: float
    seconds: float
    facts: Pairs
    boundary: Pairs


@dataclass(frozen=True)
class Extremes:
    """The classes that fine-tuning changed most in one direction, biggest change first.

    Attributes:
        shown: Those that a figure shows.
        tied: How many of these changed exactly as the last one did.
        of: How many classes did, shown or not; above `tied`, the choice among them is arbitrary.
    """

    shown: tuple[ClassChange, ...]
    tied: int
    of: int

    @property
    def note(self) -> str:
        """What the figure must say where it shows only some of the classes that tie."""
        if self.of == self.tied:
            return ""
        return f"{self.tied} of {self.of} tied at {points(self.shown[-1].change, 0)} points"


def facts(inputs: Inputs) -> tuple[RunFacts, ...]:
    """Every run of the study, the chosen one first."""
    found = [_facts(inputs, run) for run in inputs.runs]
    return tuple(sorted(found, key=lambda run: not run.chosen))


def _facts(inputs: Inputs, run: Run) -> RunFacts:
    record = run.record
    carried = run.score(FROZEN, "val")
    return RunFacts(
        name=run.name,
        trial_id=record.trial_id,
        chosen=run is inputs.run,
        best_epoch=record.best_epoch,
        history=run.history(),
        accuracies=tuple(
            sorted(accuracies(inputs, run), key=lambda item: MEASURED.index(item.split))
        ),
        start=carried.top1.value if carried else None,
        unfrozen=record.unfreeze.text if record.unfreeze.layers else "",
        backbone_rate=record.training.backbone_rate,
        training_seconds=record.training_seconds,
        seconds=record.seconds,
        facts=_said([*_what(record), *_how(record.training)]),
        boundary=_said(_boundary(record, inputs.boundaries)),
    )


def _by_split(found: list[Baseline]) -> list[Baseline]:
    return sorted(found, key=lambda item: MEASURED.index(item.split))


def _said(pairs: Sequence[tuple[str, str]]) -> Pairs:
    return tuple((name, value) for name, value in pairs if value)


def _what(record: RunRecord) -> list[tuple[str, str]]:
    unfreeze = record.unfreeze
    return [
        ("Head", record.trial_id),
        ("Unfrozen", unfreeze.text),
        ("Boundary", unfreeze.boundary or "none"),
        ("Trainable parameters", count(unfreeze.trainable_parameters)),
        ("Trained on", _trained_on(record)),
        ("Epochs", f"{record.epochs}, best {record.best_epoch}{record.early_text}"),
        ("Backend", record.backend),
    ]


def _trained_on(record: RunRecord) -> str:
    if record.boundary_cache_key:
        return "cached activations of the boundary"
    if not record.epochs:
        return ""
    return f"live images, augmented anew each time ({record.recipe.augment})"


def _how(training: TrainingSpec) -> list[tuple[str, str]]:
    """The recipe."""
    rate = training.learning_rate
    share = training.backbone_rate
    decay = training.weight_decay if training.optimizer == "adamw" else 0
    return [
        ("Optimizer", training.optimizer),
        ("Learning rate of the head", f"{rate:g}"),
        ("Learning rate of the backbone", f"{rate * share:g}, {share:g} of the head's"),
        ("Schedule", _schedule(training.schedule)),
        ("Batch size", str(training.batch_size)),
        ("Loss", training.loss.replace("_", " ")),
        ("Label smoothing", _or_off(training.label_smoothing)),
        ("Averaging of the weights", _or_off(training.averaging)),
        ("Mixup", _or_off(training.mixup)),
        ("Cutmix", _or_off(training.cutmix)),
        ("Weight decay", _or_off(decay)),
        ("Clipping of gradients", _or_off(training.clip_norm)),
    ]


def _schedule(schedule: Schedule) -> str:
    warmup = schedule.warmup_epochs if schedule.kind == "cosine" else 0
    return schedule.kind + (f", warm-up epochs {warmup:g}" if warmup else "")


def _or_off(value: float) -> str:
    return f"{value:g}" if value else "off"


def _boundary(record: RunRecord, boundaries: dict[str, Manifest]) -> list[tuple[str, str]]:
    """From the cache itself; where it was deleted, what the run recorded of it."""
    key = record.boundary_cache_key
    if not key:
        return []
    manifest = boundaries.get(key)
    pairs = [("Output of", str(record.unfreeze.boundary)), ("Key", key)]
    if manifest is None:
        views = ("Views of a training image", str(record.recipe.views))
        return [*pairs, views, ("Augmentation", record.recipe.augment)]
    return [
        *pairs,
        ("Views of a training image", str(manifest.views("train"))),
        ("Augmentation", policy(manifest)),
        ("Records", f"{manifest.records:,}"),
        ("Size", size(manifest.bytes)),
    ]


def extremes(gains: Sequence[ClassChange], count: int) -> Extremes:
    """The first `count` of the classes that changed, most first; none where none did."""
    shown = tuple(gains[:count])
    ties = [gain for gain in gains if shown and _rounded(gain) == _rounded(shown[-1])]
    return Extremes(shown, sum(gain in shown for gain in ties), len(ties))


def _rounded(gain: ClassChange) -> float:
    return round(gain.change, 9)


def figure(runs: Sequence[RunFacts], changes: Sequence[ClassChange]) -> Figures:
    """The curves of each run, and the classes whose recall changed most where any did."""
    drawn = {f"run{place}": curves(run, place) for place, run in enumerate(runs) if run.history}
    return drawn | changed_most(changes)


def curves(run: RunFacts, number: int) -> Markup:
    """Validation top-1, losses and learning rates by epoch, side by side where there is room."""
    panels = {"validation top-1": _top1, "loss": _losses, "learning rate": _rates}
    drawn = [
        _panel(run, f"run{number}-{place}", title, paint)
        for place, (title, paint) in enumerate(panels.items())
    ]
    return Markup('<div class="panels">{}</div>').format(Markup("").join(drawn))


def _panel(run: RunFacts, name: str, title: str, paint: Callable[[Axes, RunFacts], None]) -> Markup:
    """One panel; the first epoch is marked where something was unfrozen, and the kept one."""

    def paint_panel(figure: Figure) -> None:
        axes = plain_axes(figure, "epoch")
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        paint(axes, run)
        if run.unfrozen:
            axes.axvline(run.history[0].epoch, color=MUTED, linewidth=1, linestyle="-.")
        axes.axvline(run.best_epoch, color=GREEN, linewidth=1, linestyle=":")

    unfrozen = f" {run.unfrozen} was unfrozen at the first." if run.unfrozen else ""
    said = f"{len(run.history)} epochs of {run.name}; the best epoch is {run.best_epoch}.{unfrozen}"
    return draw(name, f"Fine-tuning: {title}", said, paint_panel, width=2.9, height=2.8)


def _top1(axes: Axes, run: RunFacts) -> None:
    _series(axes, run, [item.val_top1 for item in run.history], BLUE)
    percent_axis(axes)
    if run.start is not None:
        axes.axhline(run.start, color=MUTED, linestyle="--", linewidth=1)
    if run.unfrozen:
        axes.annotate(f"{run.unfrozen} unfrozen", (run.history[0].epoch, 1), xytext=(4, -1),
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      va="top", color=MUTED, fontsize=8.5, parse_math=False,
                      bbox=LABEL_GROUND)  # fmt: skip


def _losses(axes: Axes, run: RunFacts) -> None:
    _series(axes, run, [item.train_loss for item in run.history], VERMILLION, "train")
    _series(axes, run, [item.val_loss for item in run.history], BLUE, "val", "--")
    axes.legend(fontsize=8.5)


def _rates(axes: Axes, run: RunFacts) -> None:
    """The recorded rate is the head's; the backbone's is a share of it."""
    rates = [item.learning_rate for item in run.history]
    _series(axes, run, rates, PURPLE, "head")
    if run.unfrozen:
        below = [rate * run.backbone_rate for rate in rates]
        _series(axes, run, below, BLUE, f"backbone, × {run.backbone_rate:g}", "--")
    axes.legend(fontsize=8.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _series(axes: Axes, run: RunFacts, values: Sequence[float | None],
            colour: str, label: str = "", dash: str = "-") -> None:  # fmt: skip
    epochs = [item.epoch for item in run.history]
    shown = [float("nan") if value is None else value for value in values]
    axes.plot(epochs, shown, color=colour, linestyle=dash, label=label, marker=".", markersize=4)


def changed_most(changes: Sequence[ClassChange], count: int = MOST_CLASSES) -> Figures:
    """Classes that gained and lost most, as dumbbells from before to after; none if none changed.

    Args:
        changes: Biggest gain first.
        count: Most classes shown of each kind.
    """
    if not any(gain.change for gain in changes):
        return {}
    up = extremes([gain for gain in changes if gain.change > 0], count)
    down = extremes([gain for gain in changes[::-1] if gain.change < 0], count)
    notes = [note for note in (up.note, down.note) if note]
    rows: list[ClassChange | str] = [*up.shown, *notes, *down.shown[::-1]]
    labels = [_wrapped(row) if isinstance(row, ClassChange) else row for row in rows]

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "recall: open before, filled after")
        axes.grid(axis="x", visible=True)
        for place, row in enumerate(rows):
            if isinstance(row, ClassChange):
                _gain(axes, place, row)
        axes.set_yticks(range(len(rows)), labels, parse_math=False)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        percent_axis(axes, "x")

    said = f"{len(up.shown)} classes that gained most and {len(down.shown)} that lost most."
    lines = max((label.count("\n") + 1 for label in labels), default=1)
    height = 0.8 + (0.12 + 0.15 * lines) * max(len(rows), 1)
    return {"gains": draw("gains", "Change by class", said, paint, PHONE_WIDTH, height)}


def _wrapped(gain: ClassChange) -> str:
    """The whole name over as many lines as it takes, with the test images."""
    return textwrap.fill(
        f"{gain.name}\N{NO-BREAK SPACE}({gain.n})", NAME_WIDTH, break_on_hyphens=False
    )


def _gain(axes: Axes, place: int, gain: ClassChange) -> None:
    colour = GREEN if gain.change > 0 else VERMILLION
    axes.plot([gain.before, gain.after], [place, place], color=colour, alpha=0.5)
    axes.plot(gain.before, place, "o", color=colour, markerfacecolor=PAPER)
    axes.plot(gain.after, place, "o" if gain.change > 0 else "v", color=colour)


def table(runs: Sequence[RunFacts], changes: Sequence[ClassChange]) -> Tables:
    """The epochs of each run, and the recall of every class before and after."""
    found = {f"run{place}": _epochs(run) for place, run in enumerate(runs) if run.history}
    changed = any(gain.change for gain in changes)
    return found | ({"gains": _changes(changes)} if changed else {})


def _epochs(run: RunFacts) -> Table:
    """One row an epoch of fine-tuning."""
    names = ("train_loss", "val_loss", "val_top1", "learning_rate", "seconds")
    rows = [
        (str(item.epoch) + " ★" * (item.epoch == run.best_epoch),
         *("" if (v := getattr(item, name)) is None else f"{v:.4g}" for name in names))
        for item in run.history
    ]  # fmt: skip
    titles = ("Train loss", "Val loss", "Val top-1", "Head's rate", "Seconds")
    return Table(("Epoch (★ kept)", *titles), tuple(rows))


def _changes(changes: Sequence[ClassChange]) -> Table:
    rows = [
        (gain.name, str(gain.n), percent(gain.before, 0), percent(gain.after, 0),
         points(gain.change, 0))
        for gain in changes
    ]  # fmt: skip
    return Table(("Class", "Images", "Before", "After", "Points"), tuple(rows))
