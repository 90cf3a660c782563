"""A dataset's image as pixels, as long as its file is the one that was prepared."""

from __future__ import annotations

import hashlib

import numpy as np

from cars_bench.data.augment import augmented_image
from cars_bench.data.dataset import ImageRecord
from cars_bench.data.images import ImageUnusable
from cars_bench.data.policies import NAMED, Policy
from cars_bench.errors import InputError

PREPARE_AGAIN = "cars-bench prepare, then extract again"


def prepared_bytes(record: ImageRecord) -> bytes:
    """The bytes of the image's file.

    Raises:
        InputError: The file is gone, or is not the one that was prepared; names it.
    """
    try:
        data = record.path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{record.path} cannot be read: {error.strerror}.", PREPARE_AGAIN
        ) from error
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise InputError(f"{record.path} has changed since it was prepared.", PREPARE_AGAIN)
    return data


def prepared_view(
    record: ImageRecord, size: int, policy: Policy = NAMED["none"], seed: int = 0, view: int = 0
) -> np.ndarray:
    """One view of one image: uint8 [S, S, 3], RGB 0..255.

    Args:
        record: The image and the box it is cut to.
        size: S in pixels.
        policy: How views above 0 differ from the plain image.
        seed: Seed of those views.
        view: 0 is the plain image.

    Raises:
        InputError: The file is gone, changed or unusable; names it.
    """
    data = prepared_bytes(record)
    try:
        return augmented_image(data, size, record.box, policy, seed, record.image_id, view)
    except ImageUnusable as error:
        raise InputError(f"{record.path} is unusable: {error}.", PREPARE_AGAIN) from error
