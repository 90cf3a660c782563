"""Sanity checks to make before spending anything.

After Karpathy, "A Recipe for Training Neural Networks" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

from cars_bench.cache.store import FeatureCache, Features
from cars_bench.errors import CarsBenchError
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.heads import build_head
from cars_bench.training.loop import cross_entropy, train
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.probes import require_pooled, ridge, standardised
from cars_bench.workspace import Workspace

FEW = 50
FEW_OF_TWO = 73
TWO = 2
LEAST_VARYING = 0.5
UNTRAINED_TOLERANCE = 0.05
ABOVE_CHANCE = 3.0
STRONG_L2 = 1e2
PENALTY_TOLERANCE = 1e-3
HIDDEN = HeadSpec(layers=(DenseLayer(64),))
CHANCE_CONFIDENCE = 0.999
OVERFIT = TrainingSpec(learning_rate=3e-3, batch_size=FEW, epochs=150, patience_epochs=0)
QUICK = TrainingSpec(learning_rate=3e-3, batch_size=64, epochs=5, patience_epochs=0)


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: What is checked.
        passed: Whether it held.
        expected: In words, with the number.
        saw: What was measured.
    """

    name: str
    passed: bool
    expected: str
    saw: str


def run_checks(workspace: Workspace, cache_prefix: str | None = None) -> list[Check]:
    """All checks on a cache; each says what it expected and what it saw.

    Raises:
        CacheMissing: There is no cache to check.
        UsageError: It holds maps.
    """
    cache = FeatureCache.open(workspace, cache_prefix)
    require_pooled(cache, "The checks")
    train_set = cache.load("train", 1)
    val_set = cache.load("val")
    classes = len(cache.manifest.class_names)
    return [
        features_vary(train_set),
        preprocessing_sane(train_set, val_set, classes),
        untrained_loss(train_set, classes),
        untrained_loss(of_two_classes(train_set), TWO),
        strong_l2_raises_loss(train_set, classes),
        overfits(train_set, classes, FEW),
        overfits(of_two_classes(train_set), TWO, FEW_OF_TWO),
        shuffled_labels_stay_at_chance(train_set, val_set, classes),
    ]


def require_passed(checks: Sequence[Check]) -> None:
    """Stop where a check failed.

    Raises:
        CarsBenchError: Names those that did.
    """
    failed = [item.name for item in checks if not item.passed]
    if failed:
        raise CarsBenchError(
            f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}.",
            "look at the images and the preprocessing before tuning: cars-bench cache ls --sheet",
        )


def features_vary(train_set: Features) -> Check:
    """Features are finite and hardly any is constant."""
    x = np.asarray(train_set.x[:, 0], np.float32)
    finite = bool(np.isfinite(x).all())
    varying = float((x.std(0) > 0).mean()) if finite else 0.0
    expected = "all finite, at least half of them varying"
    saw = f"{'all' if finite else 'not all'} finite, {varying:.1%} varying"
    return Check("features", finite and varying >= LEAST_VARYING, expected, saw)


def preprocessing_sane(train_set: Features, val_set: Features, classes: int) -> Check:
    """The features tell the classes apart: ridge is far above chance."""
    data = standardised(train_set, val_set)
    best = max(float((said == data.val_labels).mean()) for _, said in ridge(data))
    least = ABOVE_CHANCE / classes
    return Check("preprocessing", best > least, f"ridge above {least:.1%}", f"{best:.1%}")


def of_two_classes(features: Features) -> Features:
    """Those of the two largest classes, labelled 0 and 1."""
    largest = np.sort(np.argsort(-np.bincount(features.labels), kind="stable")[:TWO])
    rows = np.flatnonzero(np.isin(features.labels, largest))
    return Features(
        [features.image_ids[row] for row in rows],
        np.searchsorted(largest, features.labels[rows]),
        np.asarray(features.x[rows, :1]),
    )


def untrained_loss(train_set: Features, classes: int) -> Check:
    """Before any step the loss is ln(classes): the output layer starts at zero."""
    saw, _ = _untrained(HIDDEN, train_set, classes)
    expected = math.log(classes)
    passed = abs(saw - expected) <= UNTRAINED_TOLERANCE * expected
    said = f"ln {classes} = {expected:.3f} within {UNTRAINED_TOLERANCE:.0%}"
    return Check(f"untrained loss of {classes}", passed, said, f"{saw:.3f}")


def strong_l2_raises_loss(train_set: Features, classes: int) -> Check:
    """A penalty on the kernels reaches the loss, with the whole of its weight.

    The penalty is known: `l2` times the sum of the kernels' squares.
    """
    plain, _ = _untrained(HIDDEN, train_set, classes)
    saw, squares = _untrained(replace(HIDDEN, l2=STRONG_L2), train_set, classes)
    expected = plain + STRONG_L2 * squares
    passed = saw > plain and abs(saw - expected) <= PENALTY_TOLERANCE * expected
    said = f"{expected:,.0f}: {expected / plain:,.0f} times the {plain:.3f} without"
    return Check(f"L2 of {STRONG_L2:g}", passed, said, f"{saw:,.0f}")


def overfits(train_set: Features, classes: int, most: int) -> Check:
    """A head learns a few images by heart."""
    few = np.random.default_rng(0).permutation(len(train_set.labels))[:most]
    examples = Examples(np.asarray(train_set.x[few, :1]), train_set.labels[few])
    model = build_head(HeadSpec(layers=(DenseLayer(256),)), train_set.x.shape[2:], classes)
    train(model, OVERFIT, examples, examples, seed=0)
    saw = float((logits_of(model, examples.x).argmax(1) == examples.labels).mean())
    name = f"overfits {len(few)} images of {len(np.unique(examples.labels))}"
    return Check(name, saw == 1.0, "100.0%", f"{saw:.1%}")


def shuffled_labels_stay_at_chance(train_set: Features, val_set: Features, classes: int) -> Check:
    """With labels drawn from a hat nothing is learnt: otherwise something leaks."""
    labels = np.random.default_rng(0).permutation(train_set.labels)
    model = build_head(HeadSpec(), train_set.x.shape[2:], classes)
    train(model, QUICK, Examples(train_set.x[:, :1], labels), None, seed=0)
    right = int((logits_of(model, val_set.x).argmax(1) == val_set.labels).sum())
    count = len(val_set.labels)
    # A guesser may always say the most frequent class.
    chance = max(1 / classes, float(np.bincount(val_set.labels).max()) / count)
    most = int(binom.ppf(CHANCE_CONFIDENCE, count, chance))
    expected = f"at most {most} of {count} right"
    return Check("shuffled labels", right <= most, expected, f"{right} right")


def _untrained(head: HeadSpec, examples: Features, classes: int) -> tuple[float, float]:
    """Loss of an untrained head, penalties included, and the sum of its kernels' squares."""
    model = build_head(head, examples.x.shape[2:], classes)
    logits = logits_of(model, examples.x)
    loss = cross_entropy(logits, examples.labels) + float(sum(model.losses))
    kernels = [np.array(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    return loss, float(sum((kernel.astype(np.float64) ** 2).sum() for kernel in kernels))
