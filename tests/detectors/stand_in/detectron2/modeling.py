"""A network that sees rectangles of pure colours."""

import os
import time
from types import SimpleNamespace

import numpy as np

COLOURS = ((0, 0, 255), (255, 0, 0), (0, 255, 0))
"""Of a person, a car and a truck."""
YELLOW, MAGENTA, CYAN = (255, 255, 0), (255, 0, 255), (0, 255, 255)


class _Instances(SimpleNamespace):
    def to(self, device):
        return self


class Network:
    """How sure it is of each class are its weights."""

    def __init__(self, channels):
        self.channels = channels
        self.sure = None

    def to(self, device):
        return self

    def eval(self):
        return self

    def __call__(self, asked):
        print("a network that chatters on stdout")
        (picture,) = asked
        pixels = picture["image"].transpose(1, 2, 0)
        assert pixels.dtype == np.float32
        assert pixels.shape[:2] == (picture["height"], picture["width"])
        rgb = pixels if self.channels == "RGB" else pixels[:, :, ::-1]
        _misbehave(rgb)
        found = [
            (box, index) for index, colour in enumerate(COLOURS) for box in _boxes(rgb, colour)
        ]
        return [
            {
                "instances": _Instances(
                    pred_boxes=SimpleNamespace(tensor=np.array([box for box, _ in found])),
                    pred_classes=np.array([index for _, index in found]),
                    scores=np.array([self.sure[index] for _, index in found]),
                )
            }
        ]


def build_model(config):
    """The network of a configuration."""
    return Network(config.INPUT.FORMAT)


def _shown(rgb, colour):
    return np.abs(rgb - np.array(colour)).max(axis=2) < 100


def _boxes(rgb, colour):
    down, across = np.nonzero(_shown(rgb, colour))
    return [(across.min(), down.min(), across.max() + 1, down.max() + 1)] if down.size else []


def _misbehave(rgb):
    if _shown(rgb, YELLOW).any():
        raise RuntimeError("yellow is too much")
    if _shown(rgb, MAGENTA).any():
        os.write(2, b"some library: Killed\n")
        os._exit(137)
    if _shown(rgb, CYAN).any():
        time.sleep(60)
