"""Proof that the winner on the cache is the winner in the full network.

Two parts, before anything is unfrozen: the head fed by the extraction's own
runtime from the original images must reproduce the witness; and the assembled
float32 model must not be worse than the witness on the validation images.
Worse is what loses more than a point and more images than chance does: a few
images that reduced precision tips over the edge prove nothing.
Keras is not imported here: what is measured is part of a run's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cars_bench.errors import HandoffFailed
from cars_bench.evaluation.comparison import SIGNIFICANT, AnswersChanged, Marks, answers_changed
from cars_bench.finetune.box_drift import LARGEST_BOX_DIFFERENCE, Answers, BoxDrift, box_drift

LARGEST_DIFFERENCE = 1e-2
LEAST_AGREEMENT = 1.0  # of first answers by the extraction's own runtime
LARGEST_FALL = 0.01  # of top-1
ALIKE = 0.9999  # cosine of two features of one image
AGREEING = 0.9  # share of images; of an unchanged one over 0.96 was measured with bfloat16

Outcome = Literal["passed", "warned", "failed", "untested"]
"""Of a check; `untested` where a run was proven by an older rule."""

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drift:
    """Features computed again from the images against the stored ones.

    Attributes:
        images: How many were compared.
        max_abs_diff: Largest difference of one number.
        min_cosine: Smallest cosine of an image's two features.
    """

    images: int
    max_abs_diff: float
    min_cosine: float


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """What the proof measured, on the validation images.

    Attributes:
        features: Recomputed features against those of the cache.
        max_abs_diff: Largest difference between a recomputed and a witness logit.
        top1_agreement: Share of images with the same top-1 as the witness,
            recomputed by the extraction's runtime.
        assembled_agreement: The same for the assembled float32 Keras model.
        witness_top1: Accuracy of the head on the cache.
        assembled_top1: Accuracy of the assembled model.
        only_witness_right: Images that only the head on the cache gets right.
        only_assembled_right: Images that only the assembled model gets right.
        p_value: McNemar's exact test of the two; like these counts `None` where a run
            was proven before they were kept.
        boxes: Recomputed boxes against those of the witness; `None` where the head has none.
        assembled_boxes: The same for the assembled model.
    """

    features: Drift
    max_abs_diff: float
    top1_agreement: float
    assembled_agreement: float
    witness_top1: float
    assembled_top1: float
    only_witness_right: int | None = None
    only_assembled_right: int | None = None
    p_value: float | None = None
    boxes: BoxDrift | None = None
    assembled_boxes: BoxDrift | None = None

    @property
    def same_boxes(self) -> bool:
        """Whether the extraction's runtime gives the witness's boxes again, if there are any."""
        return self.boxes is None or self.boxes.max_abs_diff <= LARGEST_BOX_DIFFERENCE

    @property
    def same_logits(self) -> bool:
        """Whether the extraction's runtime gives the witness again."""
        return self.max_abs_diff <= LARGEST_DIFFERENCE

    @property
    def same_answers(self) -> bool:
        """Whether it gives every first answer of the witness again."""
        return self.top1_agreement >= LEAST_AGREEMENT

    @property
    def fall(self) -> Fall:
        """How much worse the assembled model is than the head on the cache."""
        return Fall(
            images=self.features.images,
            points=self.witness_top1 - self.assembled_top1,
            lost=self.only_witness_right,
            won=self.only_assembled_right,
            p_value=self.p_value,
        )


def measure_handoff(
    witness: Answers,
    labels: Labels,
    features: Drift,
    recomputed: Answers,
    assembled: Answers,
) -> Handoff:
    """Compare with the witness.

    Args:
        witness: What the head said of the cached features of N images.
        labels: int64 `[N]`.
        features: How far the recomputed features are from the stored ones.
        recomputed: The head on features recomputed by the extraction's runtime.
        assembled: The assembled float32 model on the same images.
    """
    said = witness.logits.argmax(1)
    says = assembled.logits.argmax(1)
    changed = _changed(witness.logits, assembled.logits, labels)
    return Handoff(
        features=features,
        max_abs_diff=float(np.abs(recomputed.logits - witness.logits).max()),
        top1_agreement=float((recomputed.logits.argmax(1) == said).mean()),
        assembled_agreement=float((says == said).mean()),
        witness_top1=float((said == labels).mean()),
        assembled_top1=float((says == labels).mean()),
        only_witness_right=changed.only_before,
        only_assembled_right=changed.only_after,
        p_value=changed.p_value,
        boxes=box_drift(witness, recomputed),
        assembled_boxes=box_drift(witness, assembled),
    )


def require_handoff(measured: Handoff, network: str, runtime: str) -> str | None:
    """Stop unless the head behaves as it did on the cache.

    Args:
        measured: The comparison.
        network: Backbone and image size, for the message.
        runtime: What extracted the features and in which precision, for the message.

    Returns:
        A warning where the assembled model lost more than a point, as chance may.

    Raises:
        HandoffFailed: Says by how much and names the likeliest cause.
    """
    if not (measured.same_logits and measured.same_answers):
        cause, fix = _likeliest_cause(measured, runtime)
        raise HandoffFailed(
            f"The head reattached to {network} does not reproduce its logits: they differ by up "
            f"to {measured.max_abs_diff:.3g} and {1 - measured.top1_agreement:.1%} of the "
            f"validation images change their answer, most likely because {cause}.",
            fix,
        )
    if measured.boxes and not measured.same_boxes:
        cause, fix = _likeliest_cause(measured, runtime)
        raise HandoffFailed(
            f"The head reattached to {network} does not reproduce its boxes: their edges differ "
            f"by up to {measured.boxes.max_abs_diff:.3g} of the picture's side (at most "
            f"{LARGEST_BOX_DIFFERENCE:g}), most likely because {cause}.",
            fix,
        )
    if measured.assembled_boxes:
        measured.assembled_boxes.require_alike(
            f"The assembled float32 model ({network})", "the head on the cache"
        )
    return measured.fall.judged(
        f"The assembled float32 model ({network})",
        "the head on the cache",
        f"the precision of {runtime} is too low for it",
        "extract again with --runtime tensorflow, whose precision is float32, and tune again",
    )


def _likeliest_cause(measured: Handoff, runtime: str) -> tuple[str, str]:
    """What the features and the float32 model say of it, and what mends it."""
    features = f"the features changed (smallest cosine {measured.features.min_cosine:.4f})"
    if measured.features.min_cosine > ALIKE:
        return (
            "the head's weights changed, for the features are the cache's",
            "cars-bench tune again with another --study",
        )
    if measured.assembled_agreement > AGREEING:
        return (
            f"{features} while Keras in float32 still answers as the head did, so the "
            f"extraction's own preprocessing or {runtime} is not what it was",
            "put the old versions of the packages back, or extract and tune again",
        )
    return (
        f"{features} and Keras in float32 is off as well, so the preprocessing (decoding, "
        "resizing, scaling), the image size or the weights are not what they were",
        "put the old versions of the packages back, or extract and tune again",
    )


@dataclass(frozen=True, kw_only=True)
class WholeCheck:
    """The finished model on original images against its trained part on cached activations.

    Attributes:
        images: Validation images.
        max_abs_diff: Largest difference between two logits.
        top1_agreement: Share of images with the same top-1.
        trained_top1: Accuracy of the part that was trained.
        whole_top1: Accuracy of the finished model.
        only_trained_right: Images that only the trained part gets right.
        only_whole_right: Images that only the finished model gets right.
        p_value: McNemar's exact test of the two; like these counts `None` where a run
            was proven before they were kept.
        boxes: Boxes of the two; `None` where the head has none.
    """

    images: int
    max_abs_diff: float
    top1_agreement: float
    trained_top1: float
    whole_top1: float
    only_trained_right: int | None = None
    only_whole_right: int | None = None
    p_value: float | None = None
    boxes: BoxDrift | None = None

    @property
    def fall(self) -> Fall:
        """How much worse the finished model is than its trained part."""
        return Fall(
            images=self.images,
            points=self.trained_top1 - self.whole_top1,
            lost=self.only_trained_right,
            won=self.only_whole_right,
            p_value=self.p_value,
        )


def measure_whole(trained: Answers, whole: Answers, labels: Labels) -> WholeCheck:
    """Compare what the trained part and the finished model say of N images."""
    said = trained.logits.argmax(1)
    says = whole.logits.argmax(1)
    changed = _changed(trained.logits, whole.logits, labels)
    return WholeCheck(
        images=len(labels),
        max_abs_diff=float(np.abs(trained.logits - whole.logits).max()),
        top1_agreement=float((said == says).mean()),
        trained_top1=float((said == labels).mean()),
        whole_top1=float((says == labels).mean()),
        only_trained_right=changed.only_before,
        only_whole_right=changed.only_after,
        p_value=changed.p_value,
        boxes=box_drift(trained, whole),
    )


def require_whole(measured: WholeCheck) -> str | None:
    """Stop unless the finished model is what was trained.

    Returns:
        A warning where it lost more than a point, as chance may.

    Raises:
        HandoffFailed: It is worse than its trained part; says by how much.
    """
    if measured.boxes:
        measured.boxes.require_alike("The finished model", "its trained part on cached activations")
    return measured.fall.judged(
        "The finished model",
        "its trained part on cached activations",
        "the precision of the extraction's runtime is too low for it",
        "cars-bench extract --runtime tensorflow, tune and fine-tune on that cache",
    )


@dataclass(frozen=True, kw_only=True)
class Fall:
    """How much worse one model is than another on the same validation images.

    Attributes:
        images: How many those are.
        points: Top-1 of the other less its own, in [-1, 1].
        lost: Images that only the other gets right; like the rest `None` where a run was
            proven before they were kept.
        won: Images that only it gets right.
        p_value: McNemar's exact test of the two.
    """

    images: int
    points: float
    lost: int | None
    won: int | None
    p_value: float | None

    @property
    def share(self) -> float:
        """Of top-1, negative where it won more than it lost."""
        if self.lost is None or self.won is None:
            return round(self.points, 9)
        return (self.lost - self.won) / self.images

    @property
    def outcome(self) -> Outcome:
        """Nothing within a point; beyond it a warning, or where it is significant a failure."""
        if self.share <= LARGEST_FALL:
            return "passed"
        if self.p_value is None:
            return "untested"
        return "failed" if self.p_value < SIGNIFICANT else "warned"

    def judged(self, model: str, other: str, cause: str, fix: str) -> str | None:
        """The warning, if there is one; a failure is an error."""
        if self.outcome in ("passed", "untested"):
            return None
        sentence = (
            f"{model} is {100 * self.share:.1f} percentage points less accurate on the validation "
            f"images than {other} ({self.lost} lost, {self.won} won, McNemar p {self.p_value:.2g})"
        )
        if self.outcome == "failed":
            raise HandoffFailed(f"{sentence}, most likely because {cause}.", fix)
        return f"{sentence}: that may be chance, so the run goes on."


def _changed(before: Logits, after: Logits, labels: Labels) -> AnswersChanged:
    """Answers of two models to the same N images, by their logits `[N, C]`."""
    images = [str(number) for number in range(len(labels))]
    true = [str(label) for label in labels]
    one, other = (Marks(images, true, logits.argmax(1) == labels) for logits in (before, after))
    return answers_changed(one, other)


@dataclass(frozen=True)
class FrozenCheck:
    """What training left alone, byte for byte, and what it changed.

    Attributes:
        unchanged: Number of the backbone's variables that are byte-equal.
        batch_norm_unchanged: How many of these belong to batch norms.
        changed: Number of those that changed, all of them unfrozen.
    """

    unchanged: int
    batch_norm_unchanged: int
    changed: int
