"""A dataset's image as pixels, as long as its file is the one that was prepared; augmented or not.

View 0 is the plain image.  For the others all randomness comes from
(seed, image_id, view), so each can be recomputed alone, in any order, on any
machine: the window is turned, cut, shifted and mirrored by one affine
transform of the decoded original, then squashed by the same antialiased
resize as the plain image, so that views are as sharp as it is.  Boxes go the same way.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cars_bench.data.dataset import ImageRecord
from cars_bench.data.images import (
    MOST_BYTES,
    REDUCING_GAP,
    Box,
    ImageUnusable,
    decode_near,
    load_image,
)
from cars_bench.data.policies import NAMED, Policy
from cars_bench.errors import InputError
from cars_bench.workspace import plain_bytes

PREPARE_AGAIN = "cars-bench prepare, then extract again"
HALF = 0.5
ROUNDING = 1e-9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Which view of which image: what all its randomness comes from.

    Attributes:
        policy: What may be changed, and how far.
        seed: The policy's seed.
        image_id: The image's name in its dataset.
        number: 0 is the plain image.
    """

    policy: Policy
    seed: int
    image_id: str
    number: int


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """One view's random values.

    Attributes:
        mirrored: Whether left and right are exchanged.
        scale: Side of the window as a fraction of the whole.
        radians: Turn of the window.
        shift: Shift of the window's centre, as fractions of width and height.
        brightness: Factor on the pixels.
        contrast: Factor on distances from the mean.
    """

    mirrored: bool
    scale: float
    radians: float
    shift: tuple[float, float]
    brightness: float
    contrast: float

    def middle(self, window: Box) -> tuple[float, float]:
        """Of what the view shows, in the pixels of `window`, the region that it is cut to."""
        return (
            (window[0] + window[2]) / 2 + self.shift[0] * (window[2] - window[0]),
            (window[1] + window[3]) / 2 + self.shift[1] * (window[3] - window[1]),
        )


PLAIN = _Draw(
    mirrored=False, scale=1.0, radians=0.0, shift=(0.0, 0.0), brightness=1.0, contrast=1.0
)


def prepared_bytes(record: ImageRecord) -> bytes:
    """The bytes of the image's file.

    Raises:
        InputError: The file is gone, or is not the one that was prepared; names it.
    """
    try:
        data = plain_bytes(record.path, MOST_BYTES)
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
        return augmented_image(data, size, record.box, View(policy, seed, record.image_id, view))
    except ImageUnusable as error:
        raise InputError(f"{record.path} is unusable: {error}.", PREPARE_AGAIN) from error


def augmented_image(
    source: Path | str | bytes, size: int, box: Box | None, view: View
) -> np.ndarray:
    """One view of one image.

    Args:
        source: A path, or the encoded bytes.
        size: Side of the result in pixels.
        box: Region in pixels of the upright original; `None` takes all of it.
        view: Which one.

    Returns:
        uint8 [size, size, 3], RGB 0..255.

    Raises:
        ImageUnusable: The image cannot be decoded.
    """
    if view.number == 0:
        return load_image(source, size, box)
    draw = _drawn(view)
    image, window = _reduced(*decode_near(source, size, box), size)
    warped = _warped(image, window, draw)
    resized = warped.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
    return _toned(np.asarray(resized), draw)


def box_in_view(box: Box, window: Box, view: View, least: float = 0.0) -> Box | None:
    """Where a box of the original lies in a view: upright, around what the view shows of it.

    Args:
        box: In pixels of the upright original.
        window: Region that the image is cut to, as `box`; of a whole image 0, 0, width, height.
        view: Which one.
        least: Share of the box's area that must be seen.

    Returns:
        x1, y1, x2, y2 as shares of the view's sides, 0 to 1; `None` where too little is seen.
    """
    draw = _drawn(view) if view.number else PLAIN
    corners = _seen_at(np.array(box)[[[0, 1], [2, 1], [2, 3], [0, 3]]], window, draw)
    part = _cut_to_view(corners)
    if not len(part) or not _area(part) > max(least * _area(corners) - ROUNDING, 0):
        return None
    left, top = part.min(axis=0).tolist()
    right, bottom = part.max(axis=0).tolist()
    return left, top, right, bottom


def _seen_at(points: Floats, window: Box, draw: _Draw) -> Floats:
    """Where points of the image lie in the view, as shares of its sides, [N, 2].

    This is the inverse of `_warped`.
    """
    x, y = (points - draw.middle(window)).T
    cos = math.cos(draw.radians)
    sin = math.sin(draw.radians)
    across = (cos * x + sin * y) / ((window[2] - window[0]) * draw.scale)
    down = (cos * y - sin * x) / ((window[3] - window[1]) * draw.scale)
    return np.stack([-across if draw.mirrored else across, down], axis=1) + HALF


def _cut_to_view(corners: Floats) -> Floats:
    """The part of a convex polygon inside the unit square (Sutherland & Hodgman 1974), [N, 2]."""
    part = list(corners)
    for axis, limit, inward in ((0, 0, 1), (0, 1, -1), (1, 0, 1), (1, 1, -1)):
        depths = [inward * (point[axis] - limit) for point in part]
        ends = zip(part, depths, part[1:] + part[:1], depths[1:] + depths[:1], strict=True)
        part = [point for end in ends for point in _inner(*end)]
    return np.array(part)


def _inner(start: Floats, depth: float, end: Floats, other: float) -> list[Floats]:
    """Of a side, its start if it lies inside, and where the side crosses the edge."""
    crossing = [start + (end - start) * depth / (depth - other)] if depth * other < 0 else []
    return [start, *crossing] if depth >= 0 else crossing


def _area(polygon: Floats) -> float:
    """By the shoelace formula."""
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _drawn(view: View) -> _Draw:
    """Draw every value, used or not, so that policies differ only in range."""
    policy = view.policy
    name = f"{view.seed}\0{view.image_id}\0{view.number}".encode()
    key = int.from_bytes(hashlib.sha256(name).digest()[:16], "little")
    mirror, zoom, *rest = np.random.Generator(np.random.Philox(key=key)).random(9).tolist()
    turn, cut_x, cut_y, shift_x, shift_y, bright, contrast = (2 * value - 1 for value in rest)
    scale = 1 - (1 - policy.scale_min) * zoom
    slack = (1 - scale) / 2
    return _Draw(
        mirrored=policy.flip and mirror < HALF,
        scale=scale,
        radians=math.radians(policy.rotation_degrees * turn),
        shift=(
            slack * cut_x + policy.translation * shift_x,
            slack * cut_y + policy.translation * shift_y,
        ),
        brightness=1 + policy.brightness * bright,
        contrast=1 + policy.contrast * contrast,
    )


def _reduced(image: Image.Image, window: Box, size: int) -> tuple[Image.Image, Box]:
    """Shrink by a whole factor while the window stays `REDUCING_GAP` times `size` or more."""
    side = min(window[2] - window[0], window[3] - window[1])
    factor = int(side / (size * REDUCING_GAP))
    if factor <= 1:
        return image, window
    x1, y1, x2, y2 = (edge / factor for edge in window)
    return image.reduce(factor), (x1, y1, x2, y2)


def _warped(image: Image.Image, window: Box, draw: _Draw) -> Image.Image:
    """The turned and shifted window, upright, at the image's own resolution."""
    width = window[2] - window[0]
    height = window[3] - window[1]
    center_x, center_y = draw.middle(window)
    across = max(1, round(width * draw.scale))
    down = max(1, round(height * draw.scale))
    step_x = width * draw.scale / across
    step_y = height * draw.scale / down
    if draw.mirrored:
        step_x = -step_x
    cos = math.cos(draw.radians)
    sin = math.sin(draw.radians)
    a = cos * step_x
    b = -sin * step_y
    d = sin * step_x
    e = cos * step_y
    reach_x = (abs(a) * across + abs(b) * down) / 2
    reach_y = (abs(d) * across + abs(e) * down) / 2
    padded, left, top = _mirror_padded(
        image, (center_x - reach_x, center_y - reach_y, center_x + reach_x, center_y + reach_y)
    )
    c = center_x - left - (a * across + b * down) / 2
    f = center_y - top - (d * across + e * down) / 2
    return padded.transform(
        (across, down), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )


def _mirror_padded(image: Image.Image, region: Box) -> tuple[Image.Image, int, int]:
    """The part around `region`, continued by reflection where it leaves the image.

    Returns:
        The part, and the image's x and y of its top left corner.
    """
    left = math.floor(region[0]) - 1
    top = math.floor(region[1]) - 1
    right = math.ceil(region[2]) + 1
    bottom = math.ceil(region[3]) + 1
    inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
    part = image.crop(inside)
    if inside == (left, top, right, bottom):
        return part, left, top
    margins = (
        (inside[1] - top, bottom - inside[3]),
        (inside[0] - left, right - inside[2]),
        (0, 0),
    )
    return Image.fromarray(np.pad(np.asarray(part), margins, "symmetric")), left, top


def _toned(pixels: np.ndarray, draw: _Draw) -> np.ndarray:
    if draw.brightness == 1 and draw.contrast == 1:
        return pixels
    levels = np.arange(256, dtype=np.float64) * draw.brightness
    mean = float(pixels.mean()) * draw.brightness
    table = np.clip((levels - mean) * draw.contrast + mean, 0, 255).round().astype(np.uint8)
    toned: np.ndarray = table[pixels]
    return toned


@dataclass(frozen=True)
class LiveImages:
    """Images of a split, indexed like stored activations.

    View 0 is the plain image; every other view is augmented from (seed,
    image_id, view) alone, so a large `views` never shows the same one twice.

    Attributes:
        records: N images.
        size: Side of the square they are resized to, in pixels.
        policy: Augmentation of the views above 0.
        seed: Of the augmentation.
        views: V.
    """

    records: Sequence[ImageRecord]
    size: int
    policy: Policy = NAMED["none"]
    seed: int = 0
    views: int = 1
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(os.cpu_count()), repr=False, compare=False
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, V, S, S, 3)`."""
        return (len(self.records), self.views, self.size, self.size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, 0 to 255."""
        return np.dtype(np.uint8)

    def __getitem__(self, index: tuple[Any, Any]) -> npt.NDArray[Any]:
        """Pixels uint8 `[B, S, S, 3]` of image and view indices `[B]`.

        Raises:
            InputError: A file is gone, or is not the one that was prepared; names it.
        """
        return np.stack(list(self._pool.map(self._pixels, *index)))

    def _pixels(self, image: int, view: int) -> npt.NDArray[Any]:
        return prepared_view(self.records[image], self.size, self.policy, self.seed, int(view))
