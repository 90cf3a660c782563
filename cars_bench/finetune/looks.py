"""Where a finished model looked on a few test images: numbers kept beside its run.

A report lays them over the pictures, so that it needs neither Keras nor the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cars_bench import SCHEMA_VERSION
from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.data.pixels import prepared_view
from cars_bench.evaluation.predictions import Prediction, Predictions, read_predictions
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.heatmaps import grad_cam
from cars_bench.workspace import write_json

LOOKS_FILE, TABLE = "heatmaps.json", "predictions-test.csv"
WRONG, RIGHT, BATCH = 24, 24, 16


def write_looks(folder: Path, assembled: Assembled, dataset: Dataset) -> Path | None:
    """Write `heatmaps.json`: Grad-CAM of the most confident errors and of some right answers.

    Args:
        folder: The run's; its test predictions choose the images.
        assembled: The finished model.
        dataset: Has the test images.

    Returns:
        The file, or `None` where Keras does not run on TensorFlow, whose gradients it takes.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    chosen = choose(read_predictions(folder / TABLE))
    records = {record.image_id: record for record in dataset.records("test")}
    looked = _looks(assembled, chosen, records)
    document = {"schema_version": SCHEMA_VERSION, "method": "Grad-CAM", "images": list(looked)}
    write_json(folder / LOOKS_FILE, document)
    return folder / LOOKS_FILE


def choose(answers: Predictions | Sequence[Prediction]) -> list[Prediction]:
    """The most confident errors, most confident first, then right answers spread evenly."""
    wrong = [item for item in answers if not item.correct()]
    wrong.sort(key=lambda item: (-item.probabilities[0], item.image_id))
    right = sorted((item for item in answers if item.correct()), key=lambda item: item.image_id)
    spread = np.linspace(0, len(right) - 1, min(RIGHT, len(right))).round().astype(int)
    return wrong[:WRONG] + [right[place] for place in spread]


def _looks(
    assembled: Assembled, chosen: list[Prediction], records: dict[str, ImageRecord]
) -> Iterator[dict[str, Any]]:
    """One document an image: the class answered, and the heat `[h][w]`, 0 to 1."""
    size = assembled.backbone.image_size
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        seen = [records[item.image_id] for item in batch]
        pixels = np.stack([prepared_view(item, size) for item in seen])
        heat, _ = grad_cam(assembled, pixels.astype(np.float32))
        for item, map_ in zip(batch, heat, strict=True):
            rounded = np.round(map_.astype(float), 3).tolist()
            yield {"image_id": item.image_id, "predicted": item.answers[0], "heat": rounded}
