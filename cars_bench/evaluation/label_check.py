"""Labels that the features contradict: confident learning (Northcutt, Jiang & Chuang 2021).

Every image is judged by a classifier that was not taught it.  A label is contradicted
with confidence where the probability of another class is above the mean that images of that
class reach themselves.  Where classes are told apart very well hardly anything is above
that, so what is likelier than not to be of another class is kept as well.
cleanlab is the authors' library; what is needed of it here is thirty lines, so it is not
one more dependency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.optimize import minimize_scalar

from cars_bench.evaluation.metrics import softmax

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the ridge regression, as shares of the number of images."""
FEWEST = 3
"""Images of a class below which its labels are not judged."""
LIKELIER_THAN_NOT = 0.5
LEAST_VALUE = 1e-6
SHARPEST = 7.0

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class OutOfSample:
    """What a ridge classifier says of each of N images after learning all the others.

    Attributes:
        probabilities: float [N, C].
        penalty: The one that it was best with, as a share of the number of images.
    """

    probabilities: Floats
    penalty: float


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One label that is probably wrong.

    Attributes:
        row: Of the image.
        given: Its label.
        suggested: The class that it looks like.
        probability: Of `suggested`, out of sample.
        given_probability: Of `given`, out of sample.
        confident: It is off the diagonal of the confident joint.
    """

    row: int
    given: int
    suggested: int
    probability: float
    given_probability: float
    confident: bool


def leave_one_out(x: Floats, labels: Labels, classes: int) -> OutOfSample:
    """Probabilities of every image without its own label: exact, from one decomposition.

    Ridge regression on one-hot targets has its leave-one-out residuals in closed form (Allen
    1974); one temperature, fitted to them, makes them probabilities (Guo et al. 2017).

    Args:
        x: float [N, D], N at least 2.
        labels: int [N], 0 to C - 1.
        classes: C.
    """
    n = len(x)
    base, values = _principal(standardised(x))
    targets = np.eye(classes, dtype=np.float32)[labels]
    mean = targets.mean(axis=0)
    centred = targets - mean
    projected = base.T @ centred
    found = []
    for penalty in PENALTIES:
        share = (values / (values + penalty * n)).astype(np.float32)
        leverage = np.minimum(base**2 @ share + 1 / n, 1 - LEAST_VALUE)
        residual = (centred - (base * share) @ projected) / (1 - leverage)[:, None]
        found.append((float((residual**2).mean()), penalty, residual))
    _, penalty, residual = min(found, key=lambda item: item[:2])
    scores = centred - residual + mean
    return OutOfSample(probabilities=_calibrated(scores, labels), penalty=penalty)


def suspects(probabilities: Floats, labels: Labels) -> tuple[Suspect, ...]:
    """The labels that are probably wrong, the most contradicted first.

    Args:
        probabilities: float [N, C], each out of sample.
        labels: int [N].
    """
    rows = np.arange(len(labels))
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    own = probabilities[rows, labels]
    mean = np.bincount(labels, own, minlength=len(counts)) / np.maximum(counts, 1)
    least = np.where(counts > 0, np.minimum(mean, LIKELIER_THAN_NOT), np.inf)
    suggested = np.where(probabilities >= least, probabilities, -1.0).argmax(axis=1)
    other = probabilities[rows, suggested]
    judged = (other >= least[suggested]) & (other > own) & (counts[labels] >= FEWEST)
    found = [
        Suspect(
            row=int(row),
            given=int(labels[row]),
            suggested=int(suggested[row]),
            probability=float(other[row]),
            given_probability=float(own[row]),
            confident=bool(other[row] >= mean[suggested[row]]),
        )
        for row in np.flatnonzero(judged)
    ]
    return tuple(sorted(found, key=lambda item: item.given_probability - item.probability))


def standardised(x: Floats) -> npt.NDArray[np.float32]:
    """Each feature with mean 0 and deviation 1."""
    raw = np.asarray(x, np.float32)
    return np.asarray((raw - raw.mean(axis=0)) / (raw.std(axis=0) + LEAST_VALUE), np.float32)


def _principal(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], Floats]:
    """Left singular vectors [N, R] and squared singular values [R], by the smaller Gram matrix."""
    wide = len(x) <= x.shape[1]
    values, vectors = linalg.eigh((x @ x.T if wide else x.T @ x).astype(np.float64))
    kept = values > LEAST_VALUE * max(float(values[-1]), LEAST_VALUE)
    vectors = np.asarray(vectors[:, kept], np.float32)
    values = values[kept]
    base = vectors if wide else (x @ vectors) / np.sqrt(values).astype(np.float32)
    return np.asarray(base, np.float32), values


def _calibrated(scores: Floats, labels: Labels) -> Floats:
    """Probabilities by the one temperature under which the true labels are likeliest."""
    rows = np.arange(len(labels))

    def loss(sharpness: float) -> float:
        right = softmax(scores * np.exp(sharpness))[rows, labels]
        return float(-np.log(np.maximum(right, LEAST_VALUE)).mean())

    best = minimize_scalar(loss, bounds=(0.0, SHARPEST), method="bounded", options={"xatol": 0.01})
    return softmax(scores * np.exp(best.x))
