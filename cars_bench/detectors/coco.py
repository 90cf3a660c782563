"""The classes of COCO (Lin et al. 2014), by the numbers that its files give them: 1 to 90."""

from __future__ import annotations

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
-, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, -, backpack, umbrella, -, -, handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, -,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining table, -, -, toilet, -, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, -, book,
clock, vase, scissors, teddy bear, hair drier, toothbrush
"""

NAME_OF = {
    number: name.strip()
    for number, name in enumerate(_NAMES.replace("\n", " ").split(","), 1)
    if name.strip() != "-"
}
"""Eighty names by their number; ten numbers were never given out."""
NAMES = tuple(NAME_OF.values())
"""In the order of their numbers, as networks that count from 0 without gaps have them."""
