"""The demo's car models: what tells one class from another.

Each model is a side view in units of its length: x from 0 (rear bumper) to 1
(front bumper), y upwards from the ground.  Models of one family differ in a
few details only, as real trims and model years do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
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
    name="Alder Meridian Sedan 2009",
    deck=0.215,
    deck_end=0.16,
    roof_rear=0.30,
    roof_front=0.52,
    roof=0.305,
    cowl=0.69,
    hood=0.205,
    nose=0.165,
    wheels=(0.19, 0.80),
    wheel=0.070,
    spokes=5,
    pillars=(0.42,),
    head_lamp="block",
    tail_lamp="wide",
)
COUPE = CarModel(
    name="Corvo Strada Coupe 2010",
    deck=0.195,
    deck_end=0.13,
    roof_rear=0.34,
    roof_front=0.46,
    roof=0.275,
    cowl=0.66,
    hood=0.190,
    nose=0.140,
    wheels=(0.19, 0.80),
    wheel=0.076,
    spokes=5,
    pillars=(0.31,),
    head_lamp="slit",
    tail_lamp="wide",
)
HATCH = CarModel(
    name="Dunlin Pippin Hatchback 2008",
    deck=0.235,
    deck_end=0.02,
    roof_rear=0.12,
    roof_front=0.53,
    roof=0.375,
    cowl=0.74,
    hood=0.240,
    nose=0.190,
    wheels=(0.18, 0.82),
    wheel=0.080,
    spokes=6,
    pillars=(0.26, 0.47),
    head_lamp="round",
    tail_lamp="tall",
)
WAGON = CarModel(
    name="Alder Meridian Wagon 2009",
    deck=0.215,
    deck_end=0.02,
    roof_rear=0.09,
    roof_front=0.52,
    roof=0.305,
    cowl=0.69,
    hood=0.205,
    nose=0.165,
    wheels=(0.19, 0.80),
    wheel=0.070,
    spokes=5,
    pillars=(0.24, 0.42),
    head_lamp="block",
    tail_lamp="tall",
    rails=True,
)
SUV = CarModel(
    name="Fenwick Ranger SUV 2011",
    deck=0.270,
    deck_end=0.01,
    roof_rear=0.06,
    roof_front=0.55,
    roof=0.405,
    cowl=0.70,
    hood=0.275,
    nose=0.240,
    wheels=(0.19, 0.80),
    wheel=0.092,
    spokes=5,
    pillars=(0.23, 0.42),
    head_lamp="block",
    tail_lamp="tall",
    rails=True,
)
PICKUP = CarModel(
    name="Garrow Drover Pickup 2007",
    deck=0.225,
    deck_end=0.40,
    roof_rear=0.43,
    roof_front=0.57,
    roof=0.370,
    cowl=0.70,
    hood=0.250,
    nose=0.225,
    wheels=(0.21, 0.81),
    wheel=0.085,
    spokes=6,
    pillars=(),
    head_lamp="block",
    tail_lamp="tall",
    bed=True,
)
VAN = CarModel(
    name="Harrier Transit Van 2010",
    deck=0.260,
    deck_end=0.005,
    roof_rear=0.03,
    roof_front=0.70,
    roof=0.430,
    cowl=0.86,
    hood=0.265,
    nose=0.215,
    wheels=(0.20, 0.82),
    wheel=0.070,
    spokes=8,
    pillars=(0.62,),
    head_lamp="block",
    tail_lamp="small",
    panelled=True,
)

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
