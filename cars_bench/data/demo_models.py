"""The demo's car models: what tells one class from another.

Each model is a side view in units of its length: x from 0 (rear bumper) to 1
(front bumper), y upwards from the ground.  Models of one family differ in a
few details only, as real trims and model years do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class CarModel:
    """Shape of one class.

    Attributes:
        name: Make, model, body type and year, as real class names have them.
        deck: Height of the boot lid or load bed, and of the tail below it.
        deck_end: x where the deck meets the rear window.
        roof_rear: x where the roof begins, behind.
        roof_front: x where the roof ends, in front.
        roof: Height of the roof.
        cowl: x where the windscreen meets the bonnet.
        hood: Height of the bonnet at the cowl.
        nose: Height of the bonnet's front edge.
        wheels: x of the rear and the front axle.
        wheel: Radius of the tyres.
        spokes: Spokes of the rims.
        pillars: x of the pillars between side windows.
        head_lamp: `round`, `slit` or `block`.
        tail_lamp: `tall`, `wide` or `small`.
        panelled: No glass behind the first pillar.
        bed: Open load bed behind the cab.
        rails: Roof rails.
        spoiler: Lip at the end of roof or deck.
        stripe: Trim line along the flank.
    """

    name: str
    deck: float
    deck_end: float
    roof_rear: float
    roof_front: float
    roof: float
    cowl: float
    hood: float
    nose: float
    wheels: tuple[float, float]
    wheel: float
    spokes: int
    pillars: tuple[float, ...]
    head_lamp: str
    tail_lamp: str
    panelled: bool = False
    bed: bool = False
    rails: bool = False
    spoiler: bool = False
    stripe: bool = False


SEDAN = CarModel(
    "Alder Meridian Sedan 2009", 0.215, 0.16, 0.30, 0.52, 0.305, 0.69, 0.205, 0.165,
    (0.19, 0.80), 0.070, 5, (0.42,), "block", "wide",
)  # fmt: skip
COUPE = CarModel(
    "Corvo Strada Coupe 2010", 0.195, 0.13, 0.34, 0.46, 0.275, 0.66, 0.190, 0.140,
    (0.19, 0.80), 0.076, 5, (0.31,), "slit", "wide",
)  # fmt: skip
HATCH = CarModel(
    "Dunlin Pippin Hatchback 2008", 0.235, 0.02, 0.12, 0.53, 0.375, 0.74, 0.240, 0.190,
    (0.18, 0.82), 0.080, 6, (0.26, 0.47), "round", "tall",
)  # fmt: skip
WAGON = CarModel(
    "Alder Meridian Wagon 2009", 0.215, 0.02, 0.09, 0.52, 0.305, 0.69, 0.205, 0.165,
    (0.19, 0.80), 0.070, 5, (0.24, 0.42), "block", "tall", rails=True,
)  # fmt: skip
SUV = CarModel(
    "Fenwick Ranger SUV 2011", 0.270, 0.01, 0.06, 0.55, 0.405, 0.70, 0.275, 0.240,
    (0.19, 0.80), 0.092, 5, (0.23, 0.42), "block", "tall", rails=True,
)  # fmt: skip
PICKUP = CarModel(
    "Garrow Drover Pickup 2007", 0.225, 0.40, 0.43, 0.57, 0.370, 0.70, 0.250, 0.225,
    (0.21, 0.81), 0.085, 6, (), "block", "tall", bed=True,
)  # fmt: skip
VAN = CarModel(
    "Harrier Transit Van 2010", 0.260, 0.005, 0.03, 0.70, 0.430, 0.86, 0.265, 0.215,
    (0.20, 0.82), 0.070, 8, (0.62,), "block", "small", panelled=True,
)  # fmt: skip

MODELS = (
    SEDAN,
    replace(SEDAN, name="Alder Meridian Sedan 2012", deck_end=0.12, roof_rear=0.26,
            head_lamp="slit", tail_lamp="small", pillars=(0.34, 0.47), wheels=(0.17, 0.83),
            stripe=True),
    COUPE,
    replace(COUPE, name="Corvo Strada Coupe 2012", spoiler=True, head_lamp="round", spokes=10,
            tail_lamp="small", wheel=0.070),
    HATCH,
    replace(HATCH, name="Egret Minnow Hatchback 2009", roof=0.392, roof_rear=0.09, cowl=0.77,
            head_lamp="block", spokes=5, wheel=0.074, tail_lamp="wide", pillars=(0.40,)),
    WAGON,
    SUV,
    replace(SUV, name="Fenwick Ranger SUV 2013", head_lamp="slit", pillars=(0.14, 0.29, 0.44),
            rails=False, stripe=True),
    PICKUP,
    replace(PICKUP, name="Garrow Drover Crew Cab 2009", deck_end=0.30, roof_rear=0.33,
            pillars=(0.45,), head_lamp="round"),
    VAN,
)  # fmt: skip
