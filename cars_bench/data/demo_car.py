"""Draws one demo car onto a canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from cars_bench.data.demo_models import CarModel

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
CLEARANCE = 0.045
BELT_GAP = 0.012
GLASS_INSET = 0.02
SHORTEST_BOOT = 0.1
TYRE = (22, 22, 24)
RUBBER = (45, 45, 48)
LAMP = (244, 240, 214)
TAIL = (186, 30, 34)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where and how a car stands on the canvas.

    Attributes:
        x: Middle of the car in pixels.
        y: Ground line under the car in pixels.
        length: Length of the car in pixels.
        squeeze: Factor on the length, as if seen a little from ahead.
        radians: Turn in the picture.
        mirrored: The car faces left.
    """

    x: float
    y: float
    length: float
    squeeze: float
    radians: float
    mirrored: bool

    def place(self, points: Points) -> np.ndarray:
        """Car coordinates [N, 2] to pixels [N, 2]."""
        local = np.asarray(points, dtype=float) - (0.5, 0.0)
        local[:, 0] *= -self.squeeze if self.mirrored else self.squeeze
        cos = np.cos(self.radians)
        sin = np.sin(self.radians)
        turned = local @ np.array([[cos, -sin], [sin, cos]])
        pixels: np.ndarray = turned * (self.length, -self.length) + (self.x, self.y)
        return pixels


@dataclass(frozen=True)
class Paint:
    """Colours of one car, nothing of its class."""

    body: Colour
    glass: Colour
    rim: Colour


def draw_car(
    draw: ImageDraw.ImageDraw, model: CarModel, pose: Pose, paint: Paint
) -> tuple[float, float, float, float]:
    """Draw the car.

    Returns:
        Its bounding box in pixels of the canvas: x1, y1, x2, y2.
    """

    def fill(points: Points, colour: Colour) -> None:
        draw.polygon([tuple(point) for point in pose.place(points).tolist()], fill=colour)

    body = _smooth(_outline(model))
    shade = _scaled(paint.body, 0.72)
    _shadow(fill)
    _fittings(fill, model, shade)
    fill(body, paint.body)
    fill(_band(0.0, 1.0, CLEARANCE, CLEARANCE + 0.045), shade)
    _glasshouse(fill, model, paint)
    _flank(fill, model, paint.body, shade)
    _lamps(fill, model)
    for axle in model.wheels:
        _wheel(fill, model, axle, paint.rim)
    wheels = [point for axle in model.wheels for point in _disc(axle, model.wheel, model.wheel)]
    reach = pose.place([*body, *wheels])
    left, top = reach.min(axis=0).tolist()
    right, bottom = reach.max(axis=0).tolist()
    return left, top, right, bottom


Fill = Callable[[Points, Colour], None]


def _outline(model: CarModel) -> list[tuple[float, float]]:
    return [
        (0.01, CLEARANCE), (0.0, 0.11), (0.005, model.deck - 0.01), (0.02, model.deck),
        (model.deck_end, model.deck), (model.deck_end, model.deck + 0.005),
        (model.roof_rear, model.roof - 0.004),
        ((model.roof_rear + model.roof_front) / 2, model.roof),
        (model.roof_front, model.roof - 0.004), (model.cowl, model.hood),
        (0.95, model.nose + 0.01), (0.99, model.nose - 0.02), (1.0, 0.11), (0.985, CLEARANCE),
    ]  # fmt: skip


def _smooth(points: Points, rounds: int = 2) -> list[tuple[float, float]]:
    """Chaikin's corner cutting (1974), near the corners so that shapes stay crisp."""
    corners = np.asarray(points, dtype=float)
    for _ in range(rounds):
        after = np.roll(corners, -1, axis=0)
        cut = np.stack([0.88 * corners + 0.12 * after, 0.12 * corners + 0.88 * after], axis=1)
        corners = cut.reshape(-1, 2)
    return [(float(x), float(y)) for x, y in corners]


def _glasshouse(fill: Fill, model: CarModel, paint: Paint) -> None:
    belt = max(model.deck, model.hood) + BELT_GAP
    top = model.roof - 0.022
    rear = _between(model.deck_end, model.roof_rear, model.deck, model.roof, belt) + GLASS_INSET
    front = _between(model.cowl, model.roof_front, model.hood, model.roof, belt) - GLASS_INSET
    roof_rear = _between(model.deck_end, model.roof_rear, model.deck, model.roof, top) + GLASS_INSET
    roof_front = _between(model.cowl, model.roof_front, model.hood, model.roof, top) - GLASS_INSET
    if model.panelled:
        rear = roof_rear = model.pillars[0] + 0.01
    fill([(rear, belt), (roof_rear, top), (roof_front, top), (front, belt)], paint.glass)
    for x in model.pillars:
        fill(_band(x - 0.009, x + 0.009, belt - 0.004, top + 0.004), paint.body)


def _between(x0: float, x1: float, y0: float, y1: float, y: float) -> float:
    """The x at height `y` on the line from (x0, y0) to (x1, y1)."""
    return x0 + (x1 - x0) * (y - y0) / (y1 - y0)


def _flank(fill: Fill, model: CarModel, body: Colour, shade: Colour) -> None:
    belt = max(model.deck, model.hood)
    seams = [*model.pillars, (model.roof_front + model.cowl) / 2]
    for x in seams:
        fill(_band(x - 0.0025, x + 0.0025, 0.10, belt), shade)
        fill(_band(x - 0.045, x - 0.015, belt - 0.035, belt - 0.027), shade)
    if model.stripe:
        fill(_band(0.06, 0.94, 0.125, 0.137), _scaled(body, 1.5))


def _fittings(fill: Fill, model: CarModel, shade: Colour) -> None:
    """What stands out of the body: rails, spoiler, the far wall of a load bed."""
    if model.rails:
        fill(
            _band(model.roof_rear + 0.03, model.roof_front - 0.03, model.roof, model.roof + 0.014),
            RUBBER,
        )
    if model.spoiler and model.deck_end > SHORTEST_BOOT:
        fill([(0.0, model.deck + 0.034), (0.10, model.deck + 0.03), (0.07, model.deck - 0.01),
              (0.04, model.deck - 0.01)], shade)  # fmt: skip
    elif model.spoiler:
        x = model.roof_rear
        y = model.roof
        fill(
            [(x - 0.06, y - 0.004), (x + 0.06, y + 0.004), (x + 0.06, y - 0.02), (x, y - 0.03)],
            shade,
        )
    if model.bed:
        fill(_band(0.015, model.deck_end, model.deck, model.deck + 0.016), shade)


def _lamps(fill: Fill, model: CarModel) -> None:
    y = model.nose - 0.025
    heads = {
        "round": _disc(0.955, y, 0.021),
        "slit": [(0.90, y + 0.016), (0.985, y + 0.004), (0.987, y - 0.008), (0.91, y + 0.003)],
        "block": _band(0.935, 0.985, y - 0.019, y + 0.014),
    }
    deck = model.deck
    tails = {
        "tall": _band(0.004, 0.028, deck - 0.085, deck - 0.012),
        "wide": _band(0.003, 0.075, deck - 0.045, deck - 0.018),
        "small": _disc(0.026, deck - 0.04, 0.017),
    }
    fill(heads[model.head_lamp], LAMP)
    fill(tails[model.tail_lamp], TAIL)


def _wheel(fill: Fill, model: CarModel, axle: float, rim: Colour) -> None:
    radius = model.wheel
    fill(_disc(axle, radius, radius * 1.17), RUBBER)
    fill(_disc(axle, radius, radius), TYRE)
    fill(_disc(axle, radius, radius * 0.66), rim)
    for angle in np.arange(model.spokes) * 2 * np.pi / model.spokes + 0.3:
        half = np.pi / model.spokes * 0.55
        gap = ((-half, 0.58), (half, 0.58), (half * 0.6, 0.2), (-half * 0.6, 0.2))
        rays = [(angle + turn, radius * reach) for turn, reach in gap]
        fill([(axle + r * np.cos(a), radius + r * np.sin(a)) for a, r in rays], RUBBER)


def _shadow(fill: Fill) -> None:
    points = _disc(0.5, 0.0, 1.0)
    fill([(0.5 + (x - 0.5) * 0.53, y * 0.022 + 0.004) for x, y in points], (38, 38, 42))


def _disc(x: float, y: float, radius: float, corners: int = 28) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [(x + radius * float(np.cos(a)), y + radius * float(np.sin(a))) for a in angles]


def _band(x1: float, x2: float, y1: float, y2: float) -> list[tuple[float, float]]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue
