"""The top of the report: who won, by how much, at what cost, what to doubt."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.data.copies import SAID, remedy, sentence
from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.metrics import Estimate, SplitScore
from cars_bench.finetune.runs import STAGES, Run
from cars_bench.progress import plural
from cars_bench.reports.inputs import MEASURED, Inputs
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PHONE_WIDTH,
    PURPLE,
    Figures,
    draw,
    share_rows,
)
from cars_bench.reports.words import Table, Tables, count, interval, percent
from cars_bench.tuning.leaderboard import LeaderboardRow, no_head_beats

PROBE_NAMES = {"ridge": "ridge", "logistic": "logistic regression", "knn": "nearest neighbours"}
SAME_SCORE = 1e-9
MOST_FILES = 50
KIND_COLOURS = {"chance": MUTED, "probe": PURPLE, "frozen": BLUE, "finetuned": GREEN}
STAGE_NAMES = {"frozen": "Frozen, best head", "finetuned": "Fine-tuned"}
MARKERS = {"chance": "|", "probe": "D", "frozen": "o", "finetuned": "s"}


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One measured accuracy on the ladder from chance to the finished model.

    Attributes:
        kind: `chance`, `probe`, `frozen` or `finetuned`.
        value: Top-1 in [0, 1]; `low`..`high` is its 95% interval.
        top5: Top-5 in [0, 1] with its interval, where it was measured.
        n: Images it was measured on; 0 where that is not recorded.
    """

    label: str
    kind: str
    split: str
    value: float
    low: float
    high: float
    top5: tuple[float, float, float] | None = None
    n: int = 0


@dataclass(frozen=True)
class Caution:
    """One thing a reader should know before trusting a number, and what to do about it.

    Attributes:
        files: The files that it speaks of, a line each.
    """

    text: str
    fix: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrozenScores:
    """The validation scores of one frozen head; each is of another training, top-1 in [0, 1].

    Attributes:
        carried: Of the training on which the fine-tuned model was built, if there is one.
        mean: Over `repeats` trainings with new seeds.
        picked: Of the trial, for which the head was picked.
    """

    carried: float | None
    mean: float
    repeats: int
    picked: float

    @property
    def one_training(self) -> bool:
        """Whether the model carries the very score that the head was picked for."""
        return self.carried is not None and abs(self.carried - self.picked) < SAME_SCORE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer in one sentence, the ladder behind it, the cost and the doubts.

    Attributes:
        stage: `prepared`, `extracted`, `tuned` or `finetuned`: the last stage that left a result.
        cost_seconds: Wall time by stage, for the stages that recorded it.
        next_command: What makes the next missing part; empty when nothing is missing.
        frozen_scores: Where the frozen head has more than one validation score.
    """

    stage: str
    headline: str
    baselines: tuple[Baseline, ...]
    cost_seconds: dict[str, float]
    warnings: tuple[Caution, ...]
    next_command: str
    frozen_scores: FrozenScores | None = None

    def best(self, kind: str, split: str) -> Baseline | None:
        """The best accuracy of a kind on a split."""
        found = [item for item in self.baselines if (item.kind, item.split) == (kind, split)]
        return max(found, key=lambda item: item.value, default=None)


def facts(inputs: Inputs) -> Verdict:
    """Sum up a study, however far it has come."""
    baselines = tuple(_baselines(inputs))
    stage = _stage(inputs)
    return Verdict(
        stage=stage,
        headline=_headline(inputs, stage, baselines),
        baselines=baselines,
        cost_seconds=_costs(inputs),
        warnings=tuple(_warnings(inputs)),
        next_command=_next(inputs, stage),
        frozen_scores=frozen_scores(inputs),
    )


def _stage(inputs: Inputs) -> str:
    if inputs.run and inputs.run.score("finetuned", "test"):
        return "finetuned"
    if inputs.winner is not None:
        return "tuned"
    return "extracted" if inputs.manifest else "prepared"


def _baselines(inputs: Inputs) -> list[Baseline]:
    run = inputs.run
    winner = inputs.winner
    found = [_chance(inputs.class_names)] if inputs.class_names else []
    found += [on_board(probe_name(row.trial_id), row) for row in reversed(inputs.probes)]
    if winner and not (run and run.score("frozen", "val")):
        found.append(on_board(STAGE_NAMES["frozen"], winner))
    return found + (_of_run(run) if run else [])


def _chance(class_names: list[str]) -> Baseline:
    share = 1 / len(class_names)
    return Baseline(label="Chance", kind="chance", split="val", value=share, low=share, high=share)


def _of_run(run: Run) -> list[Baseline]:
    return [
        measured(STAGE_NAMES[stage], stage, split, score)
        for stage in STAGES
        for split in MEASURED
        if (score := run.score(stage, split))
    ]


def measured(label: str, kind: str, split: str, score: SplitScore) -> Baseline:
    """An accuracy that was measured on a split."""
    return Baseline(
        label=label,
        kind=kind,
        split=split,
        value=score.top1.value,
        low=score.top1.low,
        high=score.top1.high,
        top5=_ends(score.top5),
        n=score.n,
    )


def on_board(label: str, row: LeaderboardRow) -> Baseline:
    """An accuracy from the leaderboard: the mean over new seeds where there are any."""
    value = row.score or 0.0
    return Baseline(
        label=label,
        kind="probe" if row.kind == "probe" else "frozen",
        split="val",
        value=value,
        low=value if row.low is None else row.low,
        high=value if row.high is None else row.high,
    )


def frozen_scores(inputs: Inputs) -> FrozenScores | None:
    """Tell the scores of the frozen head apart; `None` where it was trained with one seed only."""
    run = inputs.run
    trial_id = run.record.trial_id if run else inputs.winner and inputs.winner.trial_id
    row = next((row for row in inputs.board if row.trial_id == trial_id), None)
    if row is None or not row.repeats or row.score is None or row.single is None:
        return None
    carried = run.score("frozen", "val") if run else None
    return FrozenScores(
        carried=carried.top1.value if carried else None,
        mean=row.score,
        repeats=row.repeats,
        picked=row.single,
    )


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def probe_name(trial_id: str) -> str:
    """What a probe is called in words, such as `Probe: ridge`."""
    short = trial_id.removeprefix("probe-")
    return f"Probe: {PROBE_NAMES.get(short, short)}"


def _headline(inputs: Inputs, stage: str, baselines: tuple[Baseline, ...]) -> str:
    by_place = {(baseline.kind, baseline.split): baseline for baseline in baselines}
    if stage == "finetuned":
        best = by_place["finetuned", "test"]
        return (
            f"The fine-tuned model names {percent(best.value)} of "
            f"{_test_images(inputs, best.n)} right at the first guess."
        )
    if stage == "tuned" and inputs.winner:
        trials = sum(row.kind == "trial" for row in inputs.ranked)
        best = by_place["frozen", "val"]
        return (
            f"The best of {trials:,} heads on frozen features reaches "
            f"{percent(best.value)} on the validation images."
        )
    if stage == "extracted" and inputs.manifest:
        return f"{inputs.manifest.records:,} features are cached and no head has been tried yet."
    images = len(inputs.dataset.images) if inputs.dataset else 0
    return f"{images:,} images are prepared and no features have been extracted yet."


def _test_images(inputs: Inputs, count: int) -> str:
    """How many images the test accuracy is of; `unseen` only where that is known to be so."""
    data = inputs.dataset
    unseen = data is not None and not data.labels_elsewhere("test", "train")
    return f"{count:,} {'unseen ' if unseen else ''}test images"


def _costs(inputs: Inputs) -> dict[str, float]:
    costs = {}
    if inputs.cost.images:
        costs["extract"] = inputs.cost.seconds
    if inputs.search_seconds:
        costs["search"] = inputs.search_seconds
    finished = sum(run.record.seconds for run in inputs.runs)
    if finished:
        costs["finetune"] = finished
    return costs


def _next(inputs: Inputs, stage: str) -> str:
    command = {
        "prepared": "cars-bench extract",
        "extracted": "cars-bench tune --trials 100",
        "tuned": "cars-bench finetune --best",
    }.get(stage, "")
    return (
        f"{command} --study {inputs.study.name}" if stage == "tuned" and inputs.study else command
    )


def _warnings(inputs: Inputs) -> list[Caution]:
    return _data_warnings(inputs) + _search_warnings(inputs) + _run_warnings(inputs)


def _data_warnings(inputs: Inputs) -> list[Caution]:
    if inputs.dataset is None:
        return [Caution("The dataset is gone from cache/, so pictures and counts are missing.",
                         "cars-bench prepare SOURCE")]  # fmt: skip
    card = inputs.dataset.card
    copies = _copy_warnings(inputs.dataset)
    told = card.warnings
    found = copies + [Caution(text) for text in told if not (copies and SAID in text)]
    count = len(card.quarantined)
    if count:
        found.append(
            Caution(f"{plural(count, 'unusable image')} set aside; the list stands under Data.")
        )
    if inputs.study and inputs.study.record.dataset.digest != inputs.dataset.digest:
        found.append(Caution("The dataset has changed since this study was made.",
                              "cars-bench extract, then tune again"))  # fmt: skip
    return found


def _copy_warnings(dataset: Dataset) -> list[Caution]:
    """Pictures that stand in two splits or under two labels, counted from the table itself."""
    copies = dataset.copies()
    if not copies:
        return []
    files = dataset.same_files(copies)
    text = f"{sentence(copies)}."
    rest = len(files) - MOST_FILES
    more = [f"and {rest:,} more"] if rest > 0 else []
    return [Caution(text, remedy(copies), (*files[:MOST_FILES], *more))]


def _search_warnings(inputs: Inputs) -> list[Caution]:
    found = []
    failed = sum(row.status == "failed" for row in inputs.board)
    if failed:
        found.append(Caution(f"{plural(failed, 'trial')} failed; the table says why."))
    unbeaten = no_head_beats(inputs.board, inputs.winner.trial_id) if inputs.winner else None
    if unbeaten:
        found.append(Caution(
            f"No trained head beats {probe_name(unbeaten.trial_id).removeprefix('Probe: ')}, "
            "which takes seconds.", "prefer the probe, or search a wider space"
        ))  # fmt: skip
    if inputs.winner and not inputs.probes:
        found.append(Caution("No probe stands beside the winner.", "cars-bench probe"))
    return found


def _run_warnings(inputs: Inputs) -> list[Caution]:
    run = inputs.run
    if run is None:
        return []
    before = run.score("frozen", "test")
    after = run.score("finetuned", "test")
    if before and after and after.top1.value <= before.top1.value:
        return [Caution("Fine-tuning did not improve the test accuracy.",
                         "try a lower rate: cars-bench finetune --best --lr 1e-5")]  # fmt: skip
    return []


def figure(facts: Verdict) -> Figures:
    """Every accuracy on one axis with its 95% interval: open marks validation, filled ones test."""
    shown = facts.baselines
    if not shown:
        return {}

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "top-1 accuracy", [_label(item) for item in shown])
        for place, item in enumerate(shown):
            _mark(axes, place, item)
        axes.set_xlim(0, min(1.0, max(item.high for item in shown) + 0.12))

    said = "; ".join(f"{_label(item)} {percent(item.value)}" for item in shown)
    drawn = draw(
        "ladder",
        "From chance to the finished model",
        said + ".",
        paint,
        width=PHONE_WIDTH,
        height=0.75 + 0.33 * len(shown),
    )
    return {"ladder": drawn}


def _mark(axes: Axes, place: int, item: Baseline) -> None:
    colour = KIND_COLOURS[item.kind]
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    face = colour if item.split == "test" else PAPER
    axes.plot(item.value, place, MARKERS[item.kind], color=colour, markerfacecolor=face,
              markersize=7, markeredgewidth=1.8)  # fmt: skip
    axes.annotate(percent(item.value), (max(item.high, item.value), place), xytext=(8, 0),
                  textcoords="offset points", va="center", color=INK)  # fmt: skip


def _label(item: Baseline) -> str:
    return item.label if item.kind == "chance" else f"{item.label}, {item.split}"


def table(facts: Verdict) -> Tables:
    """Every accuracy, the last one first."""
    headings = ("What", "Split", "Top-1", "95% interval", "Top-5", "Images")
    rows = tuple(map(_cells, reversed(facts.baselines)))
    return {"ladder": Table(headings, rows, words=(0, 1))}


def _cells(item: Baseline) -> tuple[str, ...]:
    measured = item.kind != "chance"
    return (
        item.label,
        item.split if measured else "any",
        percent(item.value, 2),
        interval(item.low, item.high, 2) if measured else "",
        percent(item.top5[0], 2) if item.top5 else "",
        count(item.n) if item.n else "",
    )
