"""How far the finished model may be trusted to be the one that was searched for."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.evaluation.comparison import SIGNIFICANT
from cars_bench.finetune.handoff import (
    ALIKE,
    LARGEST_DIFFERENCE,
    LARGEST_FALL,
    LEAST_AGREEMENT,
    Drift,
    Fall,
    FrozenCheck,
    Handoff,
    WholeCheck,
)
from cars_bench.finetune.run_record import RunRecord
from cars_bench.progress import plural
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.words import Pairs, percent, points

PASSED = "passed"
FAILED = "did not pass"
UNLIMITED = "no limit"
OUTCOMES = {
    "passed": PASSED,
    "warned": "passed with a warning: more than a point was lost, as chance may",
    "failed": FAILED,
    "untested": "not tested: the run was proven by an older rule",
}


@dataclass(frozen=True)
class Check:
    """One thing that was measured, what it had to be, and whether it was.

    Attributes:
        limit: What passes, or what the word means; empty where there is neither.
        judged: It could have failed; else it is only told.
    """

    name: str
    value: str
    limit: str = ""
    word: str = UNLIMITED
    judged: bool = False

    @property
    def passed(self) -> bool:
        """Whether it was judged and passed, a warning or not."""
        return self.judged and self.word.startswith(PASSED)


Checks = tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class FidelityFacts:
    """Of the chosen run; empty where nothing was measured.

    Attributes:
        features: Features recomputed from the images against the stored ones.
        handoff: The reattached head against itself on the cache, before anything was unfrozen.
        precision: What the features were computed and stored in.
        frozen: What training left alone, byte for byte, and what it changed.
        whole: The finished model on the original images against the part that was trained.
    """

    run: str
    features: Checks
    handoff: Checks
    precision: Pairs
    frozen: Checks
    whole: Checks

    @property
    def judged(self) -> Checks:
        """The checks that could have failed."""
        found = (*self.features, *self.handoff, *self.frozen, *self.whole)
        return tuple(check for check in found if check.judged)

    @property
    def passed(self) -> int:
        """How many of these passed."""
        return sum(check.passed for check in self.judged)


def facts(inputs: Inputs) -> FidelityFacts | None:
    """Tell what the chosen run proved; `None` where nothing was fine-tuned."""
    if inputs.run is None:
        return None
    record = inputs.run.record
    return FidelityFacts(
        run=inputs.run.name,
        features=_features(record.handoff.features),
        handoff=_handoff(record.handoff),
        precision=_precision(record),
        frozen=_frozen(record.frozen_check) if record.frozen_check else (),
        whole=_whole(record.whole_check) if record.whole_check else (),
    )


def _word(passed: bool) -> str:
    return PASSED if passed else FAILED


def _features(drift: Drift) -> Checks:
    """Told and not judged: what features changed by counts only in what the head makes of them."""
    alike = f"above {ALIKE:g} they count as unchanged"
    word = "unchanged" if drift.min_cosine > ALIKE else "changed"
    return (
        Check("Validation images computed again", f"{drift.images:,}"),
        Check("Largest difference of one number", f"{drift.max_abs_diff:.2g}"),
        Check("Smallest cosine", f"{drift.min_cosine:.6f}", alike, word),
    )


def _handoff(proof: Handoff) -> Checks:
    runtime = "through the extraction's own runtime"
    return (
        Check(
            f"Largest difference of logits, {runtime}",
            f"{proof.max_abs_diff:.2g}",
            f"at most {LARGEST_DIFFERENCE:g}",
            _word(proof.same_logits),
            judged=True,
        ),
        Check(
            f"Same first answer, {runtime}",
            percent(proof.top1_agreement, 2),
            percent(LEAST_AGREEMENT, 0),
            _word(proof.same_answers),
            judged=True,
        ),
        Check(
            "Same first answer, assembled float32 model",
            percent(proof.assembled_agreement, 2),
        ),
        _fall("Assembled float32 model against the head on the cache", proof.fall),
    )


def _fall(name: str, fall: Fall) -> Check:
    """One model against another on the same validation images, by the rule of the hand-off."""
    value = f"{points(0.0 - fall.share)} points"
    if fall.p_value is not None:
        value += (
            f": {plural(fall.lost or 0, 'image')} of {fall.images:,} lost, {fall.won} won, "
            f"McNemar's p = {fall.p_value:.2g}"
        )
    limit = (
        f"not more than {100 * LARGEST_FALL:g} point lost, or p at least {SIGNIFICANT:g}: "
        "what chance may lose is a warning"
    )
    return Check(name, value, limit, OUTCOMES[fall.outcome], judged=True)


def _precision(record: RunRecord) -> Pairs:
    half = record.training.mixed_precision
    return (
        ("Features computed by", f"{record.features.runtime}, {record.features.precision}"),
        ("Features stored as", record.features.dtype),
        ("Fine-tuned in", "bfloat16 below the head, weights in float32" if half else "float32"),
    )


def _frozen(check: FrozenCheck) -> Checks:
    """A run that fails these ends before it is written."""
    return (
        Check(
            "Backbone variables unchanged, byte for byte",
            f"{check.unchanged:,}",
            "all that were not unfrozen",
            PASSED,
            judged=True,
        ),
        Check(
            "Of these in batch normalisations",
            f"{check.batch_norm_unchanged:,}",
            "all there are",
            PASSED,
            judged=True,
        ),
        Check(
            "Changed by training, all of them unfrozen",
            f"{check.changed:,}",
            "at least one in each unfrozen layer",
            PASSED,
            judged=True,
        ),
    )


def _whole(check: WholeCheck) -> Checks:
    return (
        Check("Validation images answered by both", f"{check.images:,}"),
        Check("Largest difference of logits", f"{check.max_abs_diff:.2g}"),
        Check("Same first answer", percent(check.top1_agreement, 2)),
        _fall("Finished model against the part that was trained", check.fall),
    )
