"""How far the finished model may be trusted to be the one that was searched for, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.reports.inputs import Inputs, Json, Run
from cars_bench.reports.words import Pairs

HANDOFF = {
    "max_abs_diff": "Largest difference of logits, through the extraction's own runtime",
    "top1_agreement": "Same first answer, through the extraction's own runtime",
    "assembled_agreement": "Same first answer, assembled float32 model",
    "witness_top1": "Validation top-1 on the cache",
    "assembled_top1": "Validation top-1, assembled float32 model",
}


@dataclass(frozen=True)
class FidelityFacts:
    """Of the chosen run; (name, value) pairs for people, empty where nothing was measured.

    Attributes:
        features: Features recomputed from the images against the stored ones.
        handoff: The reattached head against itself on the cache, before anything was unfrozen.
        precision: What the features were computed and stored in.
        frozen: What training left alone, byte for byte, and what it changed.
    """

    run: str
    features: Pairs
    handoff: Pairs
    precision: Pairs
    frozen: Pairs


def facts(inputs: Inputs) -> FidelityFacts | None:
    """Read the chosen run's proof; `None` where nothing was fine-tuned."""
    run = inputs.run
    if run is None or not run.record.get("handoff"):
        return None
    record = run.record
    return FidelityFacts(
        run=run.name,
        features=_features(record["handoff"].get("features") or {}),
        handoff=tuple(
            (label, _value(name, record["handoff"][name]))
            for name, label in HANDOFF.items()
            if record["handoff"].get(name) is not None
        ),
        precision=_precision(inputs, run),
        frozen=_frozen(record.get("frozen_check") or {}),
    )


def _features(drift: Json) -> Pairs:
    if not drift:
        return ()
    return (
        ("Validation images computed again", f"{drift['images']:,}"),
        ("Largest difference of one number", f"{drift['max_abs_diff']:.2g}"),
        ("Smallest cosine", f"{drift['min_cosine']:.6f}"),
    )


def _value(name: str, value: float) -> str:
    return f"{value:.2g}" if name == "max_abs_diff" else f"{100 * value:.2f}%"


def _precision(inputs: Inputs, run: Run) -> Pairs:
    """From the run's own record; of older runs from the manifest, while it is there."""
    recipe = inputs.manifest.recipe.to_json() if inputs.manifest else {}
    used = run.record.get("features") or recipe
    if not used:
        return ()
    half = run.record.get("training", {}).get("mixed_precision")
    return (
        ("Features computed by", f"{used['runtime']}, {used['precision']}"),
        ("Features stored as", used["dtype"]),
        ("Fine-tuned in", "bfloat16 below the head, weights in float32" if half else "float32"),
    )


def _frozen(check: Json) -> Pairs:
    if not check:
        return ()
    return (
        ("Backbone variables unchanged, byte for byte", f"{check['unchanged']:,}"),
        ("Of these in batch normalisations", f"{check['batch_norm_unchanged']:,}"),
        ("Changed by training, all of them unfrozen", f"{check['changed']:,}"),
    )
