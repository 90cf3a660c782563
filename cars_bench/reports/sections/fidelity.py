"""How far the finished model may be trusted to be the one that was searched for."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.finetune.handoff import Drift, FrozenCheck, Handoff, WholeCheck
from cars_bench.finetune.runs import RunRecord
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.words import Pairs, percent


@dataclass(frozen=True, kw_only=True)
class FidelityFacts:
    """Of the chosen run; (name, value) pairs for people, empty where nothing was measured.

    Attributes:
        features: Features recomputed from the images against the stored ones.
        handoff: The reattached head against itself on the cache, before anything was unfrozen.
        precision: What the features were computed and stored in.
        frozen: What training left alone, byte for byte, and what it changed.
        whole: The finished model on the original images against the part that was trained.
    """

    run: str
    features: Pairs
    handoff: Pairs
    precision: Pairs
    frozen: Pairs
    whole: Pairs


def facts(inputs: Inputs) -> FidelityFacts | None:
    """Read the chosen run's proofs; `None` where nothing was fine-tuned."""
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


def _features(drift: Drift) -> Pairs:
    return (
        ("Validation images computed again", f"{drift.images:,}"),
        ("Largest difference of one number", f"{drift.max_abs_diff:.2g}"),
        ("Smallest cosine", f"{drift.min_cosine:.6f}"),
    )


def _handoff(proof: Handoff) -> Pairs:
    runtime = "through the extraction's own runtime"
    return (
        (f"Largest difference of logits, {runtime}", f"{proof.max_abs_diff:.2g}"),
        (f"Same first answer, {runtime}", percent(proof.top1_agreement, 2)),
        ("Same first answer, assembled float32 model", percent(proof.assembled_agreement, 2)),
        ("Validation top-1 on the cache", percent(proof.witness_top1, 2)),
        ("Validation top-1, assembled float32 model", percent(proof.assembled_top1, 2)),
    )


def _precision(record: RunRecord) -> Pairs:
    half = record.training.mixed_precision
    return (
        ("Features computed by", f"{record.features.runtime}, {record.features.precision}"),
        ("Features stored as", record.features.dtype),
        ("Fine-tuned in", "bfloat16 below the head, weights in float32" if half else "float32"),
    )


def _frozen(check: FrozenCheck) -> Pairs:
    return (
        ("Backbone variables unchanged, byte for byte", f"{check.unchanged:,}"),
        ("Of these in batch normalisations", f"{check.batch_norm_unchanged:,}"),
        ("Changed by training, all of them unfrozen", f"{check.changed:,}"),
    )


def _whole(check: WholeCheck) -> Pairs:
    return (
        ("Validation images answered by both", f"{check.images:,}"),
        ("Largest difference of logits", f"{check.max_abs_diff:.2g}"),
        ("Same first answer", percent(check.top1_agreement, 2)),
        ("Validation top-1, the part that was trained", percent(check.trained_top1, 2)),
        ("Validation top-1, the finished model", percent(check.whole_top1, 2)),
    )
