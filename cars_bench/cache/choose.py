"""Which runtime runs the network: the first of a fixed order whose features can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.cache.runtimes import (
    FULL,
    RUNTIMES,
    Runner,
    gpu_present,
    installed,
    make_runner,
    precision_of,
)
from cars_bench.errors import UsageError

LEAST_COSINE_FULL = 0.99999


@dataclass(frozen=True)
class Choice:
    """A runtime and the evidence for it.

    Attributes:
        runner: The compiled network.
        why: One sentence for a person.
        cosine: Smallest cosine to TensorFlow's features on the probe batch;
            `None` where TensorFlow itself is the runtime.
        least: What it had to reach.
    """

    runner: Runner
    why: str
    cosine: float | None = None
    least: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether the features can be trusted."""
        return self.cosine is None or self.least is None or self.cosine >= self.least


def choose(
    wanted: str, network: keras.Model, spec: BackboneSpec, batch_size: int, probe: np.ndarray
) -> Choice:
    """Compile the network for `wanted`, or for the best runtime that agrees with TensorFlow.

    The order is fixed, so that the same command on the same machine finds the
    same key.

    Args:
        wanted: `auto`, `tensorflow` or `openvino`.
        network: Pixels to features.
        spec: The backbone's entry in the catalogue; sets the tolerance.
        batch_size: Images of one call.
        probe: uint8 [n, S, S, 3], some real images.

    Raises:
        UsageError: `wanted` is unknown, not installed, or disagrees with TensorFlow.
    """
    if wanted == "auto":
        return _automatic(network, spec, batch_size, probe)
    choice = _measured(wanted, network, spec, batch_size, probe)
    if not choice.agrees:
        raise UsageError(f"{choice.why}.", "--runtime tensorflow")
    return choice


def smallest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest cosine between the rows of two batches [n, *shape]; two zero rows agree."""
    x, y = (np.asarray(item, np.float64).reshape(len(item), -1) for item in (a, b))
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = np.einsum("nd,nd->n", x, y)
    same = np.abs(x - y).max(axis=1) == 0
    cosines = np.where(same, 1.0, dots / np.where(lengths > 0, lengths, 1.0))
    return float(cosines.min())


def least_cosine(spec: BackboneSpec, precision: str) -> float:
    """How close to TensorFlow's float32 features another runtime must come."""
    if precision == FULL:
        return LEAST_COSINE_FULL
    return spec.least_cosine


def _automatic(
    network: keras.Model, spec: BackboneSpec, batch_size: int, probe: np.ndarray
) -> Choice:
    if gpu_present():
        return _tensorflow(network, batch_size, "TensorFlow in mixed precision, for the GPU")
    reasons = []
    for name in RUNTIMES:
        if name == "tensorflow":
            break
        if not installed(name):
            reasons.append(f"{name} is not installed")
            continue
        choice = _measured(name, network, spec, batch_size, probe)
        if choice.agrees:
            return choice
        reasons.append(choice.why)
    return _tensorflow(network, batch_size, f"TensorFlow in {FULL}, because {'; '.join(reasons)}")


def _tensorflow(network: keras.Model, batch_size: int, why: str) -> Choice:
    runner = make_runner("tensorflow", network, batch_size, precision_of("tensorflow"))
    return Choice(runner, why)


def _measured(
    name: str, network: keras.Model, spec: BackboneSpec, batch_size: int, probe: np.ndarray
) -> Choice:
    precision = precision_of(name)
    if name == "tensorflow":
        return _tensorflow(network, batch_size, f"TensorFlow in {precision}, as asked")
    runner = make_runner(name, network, batch_size, precision)
    reference = make_runner("tensorflow", network, batch_size, precision_of("tensorflow"))
    cosine = smallest_cosine(runner(probe), reference(probe))
    least = least_cosine(spec, precision)
    verb = "agree" if cosine >= least else "disagree"
    why = (
        f"{name} in {precision}: its features {verb} with TensorFlow's on {len(probe)} images "
        f"(smallest cosine {cosine:.6f}, {least:g} needed)"
    )
    return Choice(runner, why, round(cosine, 5), least)
