"""What a reader should know before trusting a report's numbers, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from cars_bench.data.copies import SAID, remedy, sentence
from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.predictions import Predictions
from cars_bench.finetune.runs import Run
from cars_bench.progress import plural
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.sections.near_duplicates import ALIKE
from cars_bench.reports.words import percent, probe_name
from cars_bench.tuning.leaderboard import no_head_beats

MOST_FILES = 50
LOOK_AT_PAIRS = "look at the pairs under Near-duplicates, and drop copies from the source"
RISE = 1.01
"""A validation loss so many times its lowest has risen."""


@dataclass(frozen=True)
class Caution:
    """One thing a reader should know before trusting a number, and what to do about it.

    Attributes:
        files: The files that it speaks of, a line each.
    """

    text: str
    fix: str = ""
    files: tuple[str, ...] = ()


def cautions(inputs: Inputs, seen: Sequence[str] = ()) -> list[Caution]:
    """Everything to doubt: in the data, in the search, in the fine-tuning.

    Args:
        inputs: The study.
        seen: Test images that look like a training or validation image.
    """
    found = _data_warnings(inputs) + _seen_warnings(inputs, seen)
    return found + _search_warnings(inputs) + _run_warnings(inputs)


def _data_warnings(inputs: Inputs) -> list[Caution]:
    if inputs.dataset is None:
        return [dataset_lacking(inputs)]
    card = inputs.dataset.card
    copies = _copy_warnings(inputs.dataset)
    told = card.warnings
    found = copies + [Caution(text) for text in told if not (copies and SAID in text)]
    count = len(card.quarantined)
    if count:
        found.append(
            Caution(f"{plural(count, 'unusable image')} set aside; the list stands under Data.")
        )
    return found


def dataset_lacking(inputs: Inputs) -> Caution:
    """What it means that the images are not here, or are not those of the study any more."""
    what = "pictures and counts are missing"
    if inputs.replaced:
        return Caution(
            f"The dataset has changed since this study was made, so {what}.",
            "prepare it again as it was, or cars-bench extract, then tune again",
        )
    return Caution(f"The dataset is gone from cache/, so {what}.", "cars-bench prepare SOURCE")


def _copy_warnings(dataset: Dataset) -> list[Caution]:
    """Pictures that stand in two splits or under two labels, counted from the table itself."""
    copies = dataset.copies()
    if not copies:
        return []
    return [
        Caution(f"{sentence(copies)}.", remedy(copies), _first_files(dataset.same_files(copies)))
    ]


def _seen_warnings(inputs: Inputs, seen: Sequence[str]) -> list[Caution]:
    """Test images whose photograph training may have seen, where no copy of the file says so."""
    copies = inputs.dataset.copies() if inputs.dataset else []
    copied = {name for item in copies if item.split == "test" != item.other for name in item.names}
    alike = sorted(set(seen) - copied)
    if not alike:
        return []
    looks = "looks" if len(alike) == 1 else "look"
    text = (
        f"{plural(len(alike), 'test image')} {looks} like a training or validation image "
        f"(cosine of their features {ALIKE:g} or more): the test accuracy may measure memory."
    )
    return [Caution(text + _without(inputs, {*seen}), LOOK_AT_PAIRS, _first_files(alike))]


def _without(inputs: Inputs, seen: set[str]) -> str:
    """The last stage's test accuracy on the other images, in a sentence."""
    last = inputs.last_answers("test")
    if last is None:
        return ""
    stage, answers = last
    rest = [row for row in answers.rows if row.image_id not in seen]
    if not rest or len(rest) == len(answers.rows):
        return ""
    share = float(Predictions(tuple(rest)).correct.mean())
    return (
        f" Of the other {len(rest):,} the {inputs.called(stage)} names {percent(share)} right, "
        f"of all {len(answers.rows):,} {percent(float(answers.correct.mean()))}."
    )


def _first_files(names: Sequence[str]) -> tuple[str, ...]:
    rest = len(names) - MOST_FILES
    more = [f"and {rest:,} more"] if rest > 0 else []
    return (*names[:MOST_FILES], *more)


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
    """Where fine-tuning did not pay: whether it overfitted, and what to try."""
    gain = inputs.gain
    if inputs.run is None or gain is None or gain.paid:
        return []
    study = f" --study {quote(inputs.run.record.study)}"
    found = "The fine-tuned model is not better than the frozen head for certain."
    rose = _rise(inputs.run)
    if rose:
        found += f" Its validation loss rose from {rose[0]:.3g} to {rose[1]:.3g}: it overfits."
    return [Caution(found, f"try a lower rate: cars-bench finetune --best --lr 1e-5{study}")]


def _rise(run: Run) -> tuple[float, float] | None:
    """The lowest validation loss up to the epoch kept, and that epoch's, where it is higher."""
    kept = run.record.best_epoch
    losses = [
        item.val_loss for item in run.history() if item.val_loss is not None and item.epoch <= kept
    ]
    if not losses or losses[-1] <= RISE * min(losses):
        return None
    return min(losses), losses[-1]
