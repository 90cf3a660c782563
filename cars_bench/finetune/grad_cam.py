"""Where a model looks: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from cars_bench.atomic import atomic_path
from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.data.images import Box, load_image
from cars_bench.data.pixels import prepared_view
from cars_bench.errors import UsageError
from cars_bench.evaluation.predictions import Prediction, Predictions
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.heatmaps import (
    Heatmap,
    Heatmaps,
    choose,
    has_heatmaps,
    overlaid,
    write_heatmaps,
)
from cars_bench.finetune.runs import FINETUNED, runs
from cars_bench.progress import Progress
from cars_bench.training.answers import class_count, split_outputs
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

METHOD = "Grad-CAM"
BATCH = 16
DIGITS = 3
LONGEST_NAME = 255
"""Bytes of a file's name on common file systems."""

Floats = npt.NDArray[np.float32]


def grad_cam(assembled: Assembled, pixels: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """What speaks for the answer: the last feature map weighted by the logit's mean gradient.

    Args:
        assembled: A model on the TensorFlow backend.
        pixels: float32 `[B, S, S, 3]`, 0 to 255.

    Returns:
        float32 `[B, h, w]`, 0 to 1, and the labels int64 `[B]` answered.

    Raises:
        UsageError: Keras runs on another backend.
    """
    if not _takes_gradients():
        raise UsageError("Heatmaps need the TensorFlow backend.", "KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    feature_map = assembled.backbone.model(pixels, training=False)
    last = assembled.backbone.blocks.blocks[-1].name
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        outputs = assembled.above(last)(feature_map, training=False)
        logits, _ = split_outputs(outputs, class_count(assembled.head))
        answered = tf.argmax(logits, axis=1)
        chosen = tf.gather(logits, answered, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, feature_map), axis=(1, 2), keepdims=True)
    heat = np.maximum(np.asarray(tf.reduce_sum(weights * feature_map, axis=-1)), 0.0)
    top = heat.max(axis=(1, 2), keepdims=True)
    return (heat / np.maximum(top, 1e-12)).astype(np.float32), np.asarray(answered)


def overlay_path(folder: Path, name: str) -> Path:
    """Where the overlay of an image goes: `NAME.png`, or where no file may be called that, short.

    Args:
        folder: Of the overlays.
        name: Posix path of the image.
    """
    path = folder / f"{name}.png"
    if len(os.fsencode(path.name)) <= LONGEST_NAME:
        return path
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f"{path.name[:40]}-{digest[:16]}.png")


def draw_overlays(
    folder: Path, assembled: Assembled, paths: Mapping[str, Path], boxes: Mapping[Path, Box]
) -> list[Path]:
    """Lay each image's heat over it and write it to its `overlay_path` under `folder`.

    Args:
        folder: Where they are written.
        assembled: The finished model.
        paths: Each image's file by its name.
        boxes: What images are cut to; one that has none is taken whole.
    """
    size = assembled.backbone.image_size
    written = []
    for name, path in paths.items():
        pixels = load_image(path, size, boxes.get(path))
        heat, _ = grad_cam(assembled, pixels[None].astype(np.float32))
        target = overlay_path(folder, name)
        with atomic_path(target) as temporary:
            overlaid(Image.fromarray(pixels), heat[0]).save(temporary)
        written.append(target)
    return written


def heatmaps_of(assembled: Assembled, answers: Predictions, dataset: Dataset) -> Heatmaps | None:
    """Heat of the most confident errors and of some right answers.

    Args:
        assembled: The finished model.
        answers: What it said of the test images; chooses some of them.
        dataset: Has the test images.

    Returns:
        `None` where Keras does not run on TensorFlow, whose gradients it takes.
    """
    if not _takes_gradients():
        return None
    records = {record.image_id: record for record in dataset.records("test")}
    return Heatmaps(METHOD, tuple(_heatmaps(assembled, choose(answers), records)))


def add_heatmaps(workspace: Workspace, study: str | None, progress: Progress) -> list[Path]:
    """Compute the heatmaps of every run of a study that was finished without them.

    Only runs that predicted the test images can have them.  Returns the files written.

    Raises:
        StudyMissing: There is no such study.
        CacheStale: The images changed since.
    """
    opened = Study.open(workspace, study)
    written = []
    for run in runs(opened):
        answers = run.predictions(FINETUNED, "test")
        if answers is None or has_heatmaps(run.folder):
            continue
        progress.log(f"Computing the heatmaps of {run.name}")
        dataset = Dataset.load(workspace, run.record.dataset.name)
        opened.require_dataset(dataset)
        found = heatmaps_of(FinishedModel(run).assembled(), answers, dataset)
        if found:
            written.append(write_heatmaps(run.folder, found))
    return written


def _takes_gradients() -> bool:
    return bool(keras.backend.backend() == "tensorflow")


def _heatmaps(
    assembled: Assembled, chosen: list[Prediction], records: dict[str, ImageRecord]
) -> Iterator[Heatmap]:
    size = assembled.backbone.image_size
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        pixels = np.stack([prepared_view(records[item.image_id], size) for item in batch])
        heat, _ = grad_cam(assembled, pixels.astype(np.float32))
        for item, map_ in zip(batch, heat, strict=True):
            rounded = np.round(map_.astype(float), DIGITS).tolist()
            yield Heatmap(item.image_id, item.answers[0], tuple(tuple(row) for row in rounded))
