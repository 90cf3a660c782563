"""Draws the demo images: a small fine-grained set that needs no download.

Classes differ in shape details; colour, pose, scale, clutter, background and
other cars in the picture are nuisances.  The same seed gives the same bytes
with the same Pillow.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cars_bench.atomic import atomic_folder
from cars_bench.data.demo_car import Colour, Paint, Pose, draw_car
from cars_bench.data.demo_models import MODELS, CarModel
from cars_bench.data.splits import stratified
from cars_bench.progress import Progress
from cars_bench.tables import write_table

IMAGES = 600
WIDTH = 256
HEIGHT = 192
SUPERSAMPLING = 2
JPEG_QUALITY = 90
SHARES = {"train": 0.65, "val": 0.20, "test": 0.15}
HEADER = ["filename", "min_x", "min_y", "max_x", "max_y", "target", "train_or_test", "car_names"]
LABELS_FILE = "labels.csv"
IMAGES_FOLDER = "images"
CAR_LENGTH = (0.72, 0.95)
"""Of the picture's width."""

FAR_CAR_LENGTH = (0.12, 0.24)
TILT_DEGREES = 3.5
SQUEEZE = 0.9
FAR_CARS = 2
"""At most so many other cars."""

CLUTTER = 2
"""At most so many posts, bushes and cones."""

BLUR_PIXELS = (2.0, 7.0)
"""Blur of what lies behind the car, in pixels of the supersampled canvas."""

GRAIN = (1.0, 6.0)
Box = tuple[int, int, int, int]


def draw_demo(folder: Path, seed: int, progress: Progress, images: int = IMAGES) -> Path:
    """Draw the set into `folder/images` and its labels into `folder/labels.csv`.

    Args:
        folder: The dataset's folder.
        seed: Another seed gives other images and another split.
        progress: Told about each image.
        images: How many; classes are dealt in turn.

    Returns:
        The label file, in the layout with boxes.
    """
    boxes: list[Box] = []
    with (
        atomic_folder(folder / IMAGES_FOLDER) as drawn,
        progress.stage("Drawing demo images", images, "images") as task,
    ):
        for number in range(images):
            picture, box = draw_scene(MODELS[number % len(MODELS)], seed, number)
            picture.save(drawn / _file_name(number), quality=JPEG_QUALITY)
            boxes.append(box)
            task.advance()
    _write_labels(folder / LABELS_FILE, boxes, seed)
    return folder / LABELS_FILE


def draw_scene(model: CarModel, seed: int, number: int) -> tuple[Image.Image, Box]:
    """One picture of `model`, and the car's box in its pixels.

    All randomness comes from (seed, number).
    """
    rng = np.random.default_rng([seed, number])
    width = WIDTH * SUPERSAMPLING
    height = HEIGHT * SUPERSAMPLING
    canvas = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(canvas)
    horizon = _backdrop(draw, rng, width, height)
    for _ in range(int(rng.integers(0, FAR_CARS + 1))):
        other = MODELS[int(rng.integers(len(MODELS)))]
        draw_car(draw, other, _far_pose(rng, width, horizon), _paint(rng))
    canvas = canvas.filter(ImageFilter.BoxBlur(float(rng.uniform(*BLUR_PIXELS))))
    draw = ImageDraw.Draw(canvas)
    pose = _pose(rng, width, height, horizon)
    x1, y1, x2, y2 = draw_car(draw, model, pose, _paint(rng))
    _clutter(draw, rng, pose, width)
    picture = canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    edges = np.array([x1, y1, x2, y2]) / SUPERSAMPLING + (-2, -2, 2, 2)
    left, top, right, bottom = np.clip(edges.round(), 0, (WIDTH, HEIGHT) * 2).astype(int).tolist()
    return _camera(picture, rng), (left, top, right, bottom)


def _pose(rng: np.random.Generator, width: int, height: int, horizon: float) -> Pose:
    length = width * rng.uniform(*CAR_LENGTH)
    reach = length * 0.46
    return Pose(
        x=rng.uniform(reach, width - reach),
        y=rng.uniform(max(horizon + 24, 0.66 * height), height - 14),
        length=length,
        squeeze=rng.uniform(SQUEEZE, 1.0),
        radians=np.radians(rng.uniform(-TILT_DEGREES, TILT_DEGREES)),
        mirrored=_chance(rng, 0.5),
    )


def _far_pose(rng: np.random.Generator, width: int, horizon: float) -> Pose:
    return Pose(
        x=rng.uniform(0, width),
        y=horizon + rng.uniform(2, 26),
        length=width * rng.uniform(*FAR_CAR_LENGTH),
        squeeze=rng.uniform(0.8, 1.0),
        radians=np.radians(rng.uniform(-2, 2)),
        mirrored=_chance(rng, 0.5),
    )


def _paint(rng: np.random.Generator) -> Paint:
    lightness = rng.uniform(0.22, 0.85)
    saturation = rng.uniform(0.0, 0.8)
    body = _colour(rng.random(), lightness, saturation)
    glass = _colour(0.58, rng.uniform(0.16, 0.42), rng.uniform(0.05, 0.3))
    grey = int(rng.integers(120, 225))
    return Paint(body, glass, (grey, grey, grey))


def _backdrop(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int
) -> float:
    """Sky, houses and trees, ground; returns the horizon's y."""
    horizon = height * float(rng.uniform(0.42, 0.6))
    hue = rng.uniform(0.5, 0.68)
    light = rng.uniform(0.5, 0.82)
    for y in np.arange(0, horizon, 4):
        shade = _colour(hue, light + 0.15 * y / horizon, 0.4)
        draw.rectangle((0, y, width, y + 4), fill=shade)
    for _ in range(int(rng.integers(3, 8))):
        _house_or_tree(draw, rng, width, horizon)
    ground = _colour(rng.uniform(0.05, 0.4), rng.uniform(0.3, 0.6), rng.uniform(0.02, 0.3))
    draw.rectangle((0, horizon, width, height), fill=ground)
    for _ in range(int(rng.integers(2, 7))):
        y = rng.uniform(horizon, height)
        tint = tuple(int(np.clip(value + rng.integers(-22, 23), 0, 255)) for value in ground)
        draw.rectangle((0, y, width, y + rng.uniform(3, 26)), fill=tint)
    return horizon


def _house_or_tree(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, horizon: float
) -> None:
    x = rng.uniform(-40, width)
    wide = rng.uniform(30, 150)
    tall = rng.uniform(40, horizon * 0.9)
    if _chance(rng, 0.4):
        leaves = _colour(rng.uniform(0.22, 0.4), rng.uniform(0.2, 0.45), 0.4)
        draw.rectangle(
            (x + wide * 0.45, horizon - tall * 0.5, x + wide * 0.55, horizon), fill=(84, 62, 44)
        )
        draw.ellipse((x, horizon - tall, x + wide, horizon - tall * 0.3), fill=leaves)
        return
    wall = _colour(rng.random(), rng.uniform(0.35, 0.8), rng.uniform(0.0, 0.35))
    pane = _colour(0.58, rng.uniform(0.2, 0.7), 0.2)
    draw.rectangle((x, horizon - tall, x + wide, horizon), fill=wall)
    for left in np.arange(x + 8, x + wide - 16, 24):
        for top in np.arange(horizon - tall + 10, horizon - 20, 30):
            draw.rectangle((left, top, left + 12, top + 16), fill=pane)


def _clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, pose: Pose, width: int) -> None:
    """Posts, bushes and cones, some of them in front of the car."""
    for _ in range(int(rng.integers(0, CLUTTER + 1))):
        x = rng.uniform(0, width)
        base = pose.y + rng.uniform(0, 14)
        if _chance(rng, 0.35):
            wide = rng.uniform(4, 9)
            draw.rectangle((x, base - rng.uniform(60, 190), x + wide, base), fill=(72, 74, 78))
        elif _chance(rng, 0.5):
            wide = rng.uniform(24, 80)
            tall = rng.uniform(14, 44)
            leaves = _colour(rng.uniform(0.2, 0.4), rng.uniform(0.18, 0.4), 0.45)
            draw.ellipse((x, base - tall, x + wide, base + tall * 0.5), fill=leaves)
        else:
            draw.polygon([(x, base), (x + 9, base - 30), (x + 18, base)], fill=(226, 110, 36))


def _camera(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Exposure and sensor noise."""
    pixels = np.asarray(picture, dtype=np.float32) * np.float32(rng.uniform(0.75, 1.2))
    grain = rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32)
    pixels += grain * np.float32(rng.uniform(*GRAIN))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _colour(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue, min(lightness, 1.0), saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _write_labels(path: Path, boxes: list[Box], seed: int) -> None:
    """Labels as the layout with boxes has them; classes are numbered from 1."""
    names = sorted(model.name for model in MODELS)
    classes = [MODELS[number % len(MODELS)].name for number in range(len(boxes))]
    files = [_file_name(number) for number in range(len(boxes))]
    splits = stratified(files, classes, SHARES, seed)
    rows = zip(files, boxes, splits, classes, strict=True)
    numbered = ([file, *box, names.index(name) + 1, split, name] for file, box, split, name in rows)
    write_table(path, HEADER, numbered)


def _file_name(number: int) -> str:
    return f"{number + 1:05d}.jpg"
