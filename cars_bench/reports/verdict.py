"""The top of the report as plain numbers: who won, by how much, at what cost, what to doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cars_bench.data.copies import SAID, remedy, sentence
from cars_bench.data.dataset import Dataset
from cars_bench.reports.inputs import Json, Run, Sources
from cars_bench.tuning.leaderboard import Row
from cars_bench.tuning.ledger import Trial

PROBE_NAMES = {"ridge": "ridge", "logistic": "logistic regression", "knn": "nearest neighbours"}
SAME_SCORE = 1e-9
MOST_FILES = 50


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    rungs: tuple[Baseline, ...]
    cost_seconds: dict[str, float]
    warnings: tuple[Caution, ...]
    next_command: str
    frozen_scores: FrozenScores | None = None

    def rung(self, kind: str, split: str) -> Baseline | None:
        """The best rung of a kind on a split."""
        found = [rung for rung in self.rungs if rung.kind == kind and rung.split == split]
        return max(found, key=lambda rung: rung.value, default=None)


def verdict(sources: Sources) -> Verdict:
    """Sum up a study, however far it has come."""
    rungs = tuple(_rungs(sources))
    stage = _stage(sources)
    return Verdict(
        stage=stage,
        headline=_headline(sources, stage, rungs),
        rungs=rungs,
        cost_seconds=_costs(sources),
        warnings=tuple(_warnings(sources)),
        next_command=_next(sources, stage),
        frozen_scores=frozen_scores(sources),
    )


def _stage(sources: Sources) -> str:
    if any(run.accuracy("finetuned", "test") for run in sources.runs):
        return "finetuned"
    if sources.winner is not None:
        return "tuned"
    return "extracted" if sources.manifest else "prepared"


def _rungs(sources: Sources) -> list[Baseline]:
    rungs = []
    if sources.class_names:
        chance = 1 / len(sources.class_names)
        rungs.append(Baseline("Chance", "chance", "val", chance, chance, chance))
    rows = {row.trial_id: row for row in sources.board}
    rungs += [
        _board_rung(probe_name(item), "probe", rows[item.trial_id])
        for item in reversed(sources.probes)
    ]
    run, winner = sources.run, sources.winner
    if winner and not (run and run.accuracy("frozen", "val")):
        rungs.append(_board_rung("Frozen, best head", "frozen", rows[winner.trial_id]))
    return rungs + (_run_rungs(run) if run else [])


def _run_rungs(run: Run) -> list[Baseline]:
    names = {"frozen": "Frozen, best head", "finetuned": "Fine-tuned"}
    rungs = []
    for stage, name in names.items():
        for split in ("val", "test"):
            score = run.accuracy(stage, split)
            if score:
                rungs.append(score_rung(name, stage, split, score))
    return rungs


def score_rung(label: str, kind: str, split: str, score: Json) -> Baseline:
    """A rung from a score document (`top1`, `top5`, `n`)."""
    top5 = score.get("top5")
    return Baseline(
        label, kind, split, *_triple(score["top1"]), _triple(top5) if top5 else None,
        int(score.get("n", 0)),
    )  # fmt: skip


def _board_rung(label: str, kind: str, row: Row) -> Baseline:
    """A rung from the leaderboard: the mean over new seeds where there are any."""
    value = row.score or 0.0
    low = value if row.low is None else row.low
    return Baseline(label, kind, "val", value, low, value if row.high is None else row.high)


def frozen_scores(sources: Sources) -> FrozenScores | None:
    """Tell the scores of the frozen head apart; `None` where it was trained with one seed only."""
    run, winner = sources.run, sources.winner
    trial_id = run.record.get("trial_id") if run else winner and winner.trial_id
    row = next((row for row in sources.board if row.trial_id == trial_id), None)
    if row is None or not row.repeats or row.score is None or row.single is None:
        return None
    carried = run.accuracy("frozen", "val") if run else None
    value = float(carried["top1"]["value"]) if carried else None
    return FrozenScores(value, row.score, row.repeats, row.single)


def _triple(estimate: Any) -> tuple[float, float, float]:
    return float(estimate["value"]), float(estimate["low"]), float(estimate["high"])


def probe_name(trial: Trial) -> str:
    """What a probe is called in words, such as `Probe: ridge`."""
    short = trial.trial_id.removeprefix("probe-")
    return f"Probe: {PROBE_NAMES.get(short, short)}"


def _headline(sources: Sources, stage: str, rungs: tuple[Baseline, ...]) -> str:
    by_place = {(rung.kind, rung.split): rung for rung in rungs}
    if stage == "finetuned":
        best = by_place["finetuned", "test"]
        return (
            f"The fine-tuned model names {percent(best.value)} of "
            f"{_test_images(sources, best.n)} right at the first guess."
        )
    if stage == "tuned" and sources.winner:
        trials = sum(t.kind == "trial" and t.status == "completed" for t in sources.trials)
        best = by_place["frozen", "val"]
        return (
            f"The best of {trials:,} heads on frozen features reaches "
            f"{percent(best.value)} on the validation images."
        )
    if stage == "extracted" and sources.manifest:
        return f"{sources.manifest.records:,} features are cached and no head has been tried yet."
    images = len(sources.dataset.images) if sources.dataset else 0
    return f"{images:,} images are prepared and no features have been extracted yet."


def _test_images(sources: Sources, count: int) -> str:
    """How many images the test accuracy is of; `unseen` only where that is known to be so."""
    data = sources.dataset
    unseen = data is not None and not data.labels_elsewhere("test", "train")
    return f"{count:,} {'unseen ' if unseen else ''}test images"


def percent(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * value:.{digits}f}%"


def plural(number: int, noun: str) -> str:
    """A number and its noun: `1 trial`, `2 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _costs(sources: Sources) -> dict[str, float]:
    costs = {}
    if sources.cache_cost.images:
        costs["extract"] = sources.cache_cost.seconds
    if sources.search_seconds:
        costs["search"] = sources.search_seconds
    finished = sum(float(run.record.get("seconds") or 0.0) for run in sources.runs)
    if finished:
        costs["finetune"] = finished
    return costs


def _next(sources: Sources, stage: str) -> str:
    command = {
        "prepared": "cars-bench extract",
        "extracted": "cars-bench tune --trials 100",
        "tuned": "cars-bench finetune --best",
    }.get(stage, "")
    named = stage == "tuned" and sources.study_name
    return f"{command} --study {sources.study_name}" if named else command


def _warnings(sources: Sources) -> list[Caution]:
    return _data_warnings(sources) + _search_warnings(sources) + _run_warnings(sources)


def _data_warnings(sources: Sources) -> list[Caution]:
    if sources.dataset is None:
        return [Caution("The dataset is gone from cache/, so pictures and counts are missing.",
                         "cars-bench prepare SOURCE")]  # fmt: skip
    card = sources.dataset.card
    copies = _copy_warnings(sources.dataset)
    told = card.warnings
    found = copies + [Caution(text) for text in told if not (copies and SAID in text)]
    count = len(card.quarantined)
    if count:
        found.append(
            Caution(f"{plural(count, 'unusable image')} set aside; the list stands under Data.")
        )
    recorded = (sources.study or {}).get("dataset", {}).get("digest")
    if recorded and recorded != sources.dataset.digest:
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


def _search_warnings(sources: Sources) -> list[Caution]:
    found = []
    failed = sum(trial.status == "failed" for trial in sources.trials)
    if failed:
        found.append(Caution(f"{plural(failed, 'trial')} failed; the table says why."))
    probes, winner = sources.probes, sources.winner
    if winner and probes and (probes[0].score or 0) >= (winner.score or 0):
        found.append(Caution(
            f"No trained head beats {probe_name(probes[0]).removeprefix('Probe: ')}, "
            "which takes seconds.", "prefer the probe, or search a wider space"
        ))  # fmt: skip
    if winner and not probes:
        found.append(Caution("No probe stands beside the winner.", "cars-bench probe"))
    return found


def _run_warnings(sources: Sources) -> list[Caution]:
    run = sources.run
    if run is None:
        return []
    before, after = run.accuracy("frozen", "test"), run.accuracy("finetuned", "test")
    if before and after and after["top1"]["value"] <= before["top1"]["value"]:
        return [Caution("Fine-tuning did not improve the test accuracy.",
                         "try a lower rate: cars-bench finetune --best --lr 1e-5")]  # fmt: skip
    return []
