"""A finished model for others: a TensorFlow SavedModel, checked against the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cars_bench.atomic import atomic_folder
from cars_bench.data.images import load_image
from cars_bench.errors import UsageError
from cars_bench.evaluation.metrics import TOP_K
from cars_bench.finetune.run_record import SavedModelCheck
from cars_bench.training.answers import PROBABILITIES, named_outputs

SAVED_MODEL_FILE = "saved_model.pb"


def export_saved_model(
    target: Path, finished: keras.Model, class_names: list[str], size: int
) -> Path | None:
    """Write a SavedModel: encoded images in, class names and probabilities out.

    Its default signature takes `images`, strings `[B]` with the bytes of JPEG, PNG, GIF
    or BMP files, and gives `classes` string `[B, k]` and `probabilities`
    float32 `[B, k]`, best first, k at most five.  TensorFlow decodes and
    resizes (antialiased bilinear) inside: EXIF orientation is not applied and
    transparency is dropped.  A second one, `pixels`, takes what every other
    format does, `pixels` float32 `[B, S, S, 3]`, and gives `probabilities`
    float32 `[B, C]` in the order of the labels.  A model with a box gives `box`
    float32 `[B, 4]` in both, x1, y1, x2, y2 as shares of the picture's sides.

    Args:
        target: The folder to write; one that is there is replaced if it is a SavedModel.
        finished: From pixels to probabilities.
        class_names: Index is the label.
        size: Side of the input in pixels.

    Returns:
        The folder, or `None` where Keras does not run on TensorFlow, which
        cannot trace the models of other backends.

    Raises:
        UsageError: The folder is there and holds something else.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    if target.exists() and not (target / SAVED_MODEL_FILE).is_file():
        raise UsageError(f"{target} is there, and is no SavedModel.", "name another folder")
    import tensorflow as tf

    count = min(TOP_K, len(class_names))
    names = tf.constant(class_names)

    def classify(images: Any) -> dict[str, Any]:
        pixels = tf.map_fn(_decoded(tf, size), images, fn_output_signature=tf.float32)
        said = named_outputs(finished(pixels, training=False))
        best = tf.math.top_k(said[PROBABILITIES], count)
        likeliest = {"classes": tf.gather(names, best.indices), PROBABILITIES: best.values}
        return said | likeliest

    def answer(pixels: Any) -> dict[str, Any]:
        return named_outputs(finished(pixels, training=False))

    module = tf.Module()
    module.network = finished  # its variables are saved because the module holds them
    encoded = [tf.TensorSpec([None], tf.string, name="images")]
    decoded = [tf.TensorSpec([None, size, size, 3], tf.float32, name="pixels")]
    module.classify = tf.function(classify, input_signature=encoded)
    module.answer = tf.function(answer, input_signature=decoded)
    signatures = {"serving_default": module.classify, "pixels": module.answer}
    with atomic_folder(target) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=signatures)
    return target


def check_saved_model(
    saved: Path, finished: keras.Model, class_names: list[str], size: int, files: Sequence[bytes]
) -> SavedModelCheck:
    """Ask the SavedModel on disk and the model it was made of about the same whole images.

    The model sees the pixels that `predict` would give it, so this measures
    what decoding and resizing in TensorFlow change.

    Args:
        saved: The SavedModel's folder.
        finished: From pixels to probabilities.
        class_names: Index is the label.
        size: Side of the input in pixels.
        files: Encoded images.
    """
    import tensorflow as tf

    served = tf.saved_model.load(str(saved))  # its functions live as long as it does
    graph = tf.function(finished)  # several times as fast as call by call
    agreed = []
    differences = []
    for data in files:
        try:
            said = served.signatures["serving_default"](images=tf.constant([data]))
        except tf.errors.InvalidArgumentError:
            continue
        pixels = tf.constant(load_image(data, size)[None], tf.float32)
        own = named_outputs(graph(pixels, training=False))[PROBABILITIES].numpy()[0]
        labels = [class_names.index(name.decode()) for name in said["classes"].numpy()[0]]
        agreed.append(labels[0] == own.argmax())
        differences.append(np.abs(said["probabilities"].numpy()[0] - own[labels]).max())
    return SavedModelCheck(
        images=len(agreed),
        undecodable=len(files) - len(agreed),
        top1_agreement=float(np.mean(agreed)) if agreed else None,
        max_abs_diff=float(np.max(differences)) if agreed else None,
    )


def _decoded(tf: Any, size: int) -> Any:
    """Decode and resize as close to Pillow as TensorFlow can: its exact DCT, whole numbers."""

    def decoded(data: Any) -> Any:
        image = tf.cond(
            tf.io.is_jpeg(data),
            lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
        )
        image.set_shape([None, None, 3])
        resized = tf.image.resize(tf.cast(image, tf.float32), (size, size), antialias=True)
        return tf.round(resized)

    return decoded
