"""The recipe of a feature cache: everything that can change a feature, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cars_bench.checksums import checksum
from cars_bench.data.policies import Policy
from cars_bench.documents import to_json

FORMAT_VERSION = 1
KEY_DIGITS = 16

TITLES = {
    "dataset_digest": "dataset content",
    "crop": "crop",
    "backbone": "backbone",
    "weights_digest": "weights",
    "image_size": "image size",
    "resize": "resize method",
    "preprocessing": "preprocessing",
    "pooling": "pooling",
    "boundary": "boundary",
    "augment": "augmentation policy",
    "augment_seed": "augmentation seed",
    "dtype": "dtype",
    "runtime": "runtime",
    "precision": "numeric precision",
    "format_version": "format version",
}


@dataclass(frozen=True, kw_only=True)
class FeatureRecipe:
    """What a cache's key covers.

    The batch size and the number of views are left out: neither changes a
    record.  Nor do the places where images and workspace lie.

    Attributes:
        dataset_digest: `Dataset.digest`.
        crop: `none` or `boxes`.
        backbone: Name in the catalogue.
        weights_digest: SHA-256 of the backbone's weights.
        image_size: Side of the network's input in pixels.
        resize: Name of the resize method.
        preprocessing: What the network does first to pixels 0..255.
        pooling: `avg`, `max` or `avgmax`; `none` for a map, as with a boundary.
        boundary: Block whose output is cached instead of pooled features.
        augment: The policy's ranges as canonical JSON (not its name).
        augment_seed: Seed of the views above 0.
        dtype: `float16` or `float32`, as stored.
        runtime: `tensorflow` or `openvino`.
        precision: What the network computes in, such as `float32` or `bfloat16`.
        format_version: Of the shards.
    """

    dataset_digest: str
    crop: str
    backbone: str
    weights_digest: str
    image_size: int
    resize: str
    preprocessing: str
    pooling: str
    boundary: str | None
    augment: str
    augment_seed: int
    dtype: str
    runtime: str
    precision: str
    format_version: int = FORMAT_VERSION

    @property
    def key(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return checksum(self.to_json())[:KEY_DIGITS]

    def differences(self, other: FeatureRecipe) -> list[str]:
        """Names of the fields in which the two differ, in field order."""
        mine = self.to_json()
        theirs = other.to_json()
        return [name for name in mine if mine[name] != theirs[name]]

    def policy(self, name: str) -> Policy:
        """How views above 0 differ from the plain image, under the name `name`."""
        return Policy.recorded(name, self.augment)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain data."""
        return to_json(self)


def titles(differing: list[str]) -> str:
    """Field names as a person reads them: `dataset content, crop`."""
    return ", ".join(TITLES[name] for name in differing)
