"""A finished model for others: a TensorFlow SavedModel, and a card that says what it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras

from cars_bench.evaluation.metrics import TOP_K
from cars_bench.training.specs import HeadSpec, from_json
from cars_bench.workspace import sync_folder, write_text

SAVED_MODEL, CARD_FILE = "saved_model", "model-card.md"


def export_saved_model(
    folder: Path, finished: keras.Model, class_names: list[str], size: int
) -> Path | None:
    """Write `folder/saved_model`: encoded images in, class names and probabilities out.

    Its signature takes `images`, strings `[B]` with the bytes of JPEG, PNG, GIF
    or BMP files, and gives `classes` string `[B, k]` and `probabilities`
    float32 `[B, k]`, best first, k at most five.  TensorFlow decodes and
    resizes (antialiased bilinear) inside: EXIF orientation is not applied.

    Args:
        folder: The run's.
        finished: From pixels to probabilities.
        class_names: Index is the label.
        size: Side of the input in pixels.

    Returns:
        The folder, or `None` where Keras does not run on TensorFlow, which
        cannot trace the models of other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    count, names = min(TOP_K, len(class_names)), tf.constant(class_names)

    def classify(images: Any) -> dict[str, Any]:
        pixels = tf.map_fn(_decoded(tf, size), images, fn_output_signature=tf.float32)
        best = tf.math.top_k(finished(pixels, training=False), count)
        return {"classes": tf.gather(names, best.indices), "probabilities": best.values}

    module, target = tf.Module(), folder / SAVED_MODEL
    module.network = finished  # its variables are saved because the module holds them
    signature = [tf.TensorSpec([None], tf.string, name="images")]
    module.classify = tf.function(classify, input_signature=signature)
    temporary = folder / f".{SAVED_MODEL}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.classify})
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    sync_folder(folder)
    return target


def write_card(folder: Path, document: dict[str, Any]) -> None:
    """Write `model-card.md` (after Mitchell et al. 2019) from a run's record."""
    write_text(folder / CARD_FILE, "\n".join(_card(document)) + "\n")


def _card(document: dict[str, Any]) -> list[str]:
    backbone, unfreeze = document["backbone"], document["unfreeze"]
    training, names = document["training"], document["class_names"]
    head = from_json(HeadSpec, document["head"]).describe()
    return [
        f"# {document['study']}/{document['run']}",
        "",
        f"Made {document['created']} by cars-bench {document['versions']['cars-bench']}.",
        "",
        "## What it is",
        "",
        f"- Answers one of {len(names)} classes for a {backbone['image_size']} x "
        f"{backbone['image_size']} RGB image, pixels 0 to 255; preprocessing is inside.",
        f"- Backbone: {backbone['name']}, {backbone['pooling']} pooling, weights "
        f"{backbone['weights_digest'][:16]}.",
        f"- Head: {head} (trial {document['trial_id']}).",
        "",
        "## Data",
        "",
        f"- Dataset {document['dataset']['name']!r}, digest {document['dataset']['digest'][:16]}; "
        f"features from the cache {document['cache_key']}.",
        "- The split was decided by image before anything else. "
        + ("Validation images were trained on too." if document["refit"] else _choice(document)),
        "",
        "## Training",
        "",
        f"- Unfrozen: {unfreeze['text']} ({len(unfreeze['layers'])} layers, "
        f"{unfreeze['trainable_parameters']:,} parameters with the head); every BatchNormalization "
        "of the backbone stays frozen.",
        f"- {document['epochs']} epochs of {training['optimizer']} at "
        f"{training['learning_rate']:g} ({training['schedule']['kind']}), batch "
        f"{training['batch_size']}, label smoothing {training['label_smoothing']:g}, "
        f"{_examples(document)}, seed {document['seed']}.",
        *(f"- Steered by hand from epoch {s['from_epoch']}: {s}." for s in document["steering"]),
        "",
        "## Results",
        "",
        "| | split | images | top-1 (95% interval) | top-5 |",
        "|---|---|---|---|---|",
        *_results(document),
        "",
        "## Limits",
        "",
        "- It names one of its classes for any image, also for one that shows none of them.",
        "- The numbers hold for images like those of the dataset; light, viewpoint and "
        "crop that are not in it were not measured.",
        "- Its probabilities are not calibrated: `cars-bench evaluate` tells how far they are off.",
        "- Not for deciding about people.",
    ]


def _choice(document: dict[str, Any]) -> str:
    return f"The epoch ({document['best_epoch']}) was chosen on validation; test was read once."


def _examples(document: dict[str, Any]) -> str:
    views, augment = document["recipe"]["views"], document["recipe"]["augment"]
    if document["boundary_cache_key"]:
        return f"{views} cached views of the policy {augment!r}"
    return f"images augmented anew by the policy {augment!r} each time"


def _results(document: dict[str, Any]) -> list[str]:
    rows = []
    for stage, name in (("frozen", "frozen head"), ("finetuned", "fine-tuned")):
        for split, found in document[stage].items():
            top1, top5 = found["top1"], found["top5"]
            rows.append(
                f"| {name} | {split} | {found['n']:,} | {top1['value']:.4f} "
                f"({top1['low']:.4f} to {top1['high']:.4f}) | {top5['value']:.4f} |"
            )
    return rows


def _decoded(tf: Any, size: int) -> Any:
    def decoded(data: Any) -> Any:
        image = tf.io.decode_image(data, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        return tf.image.resize(tf.cast(image, tf.float32), (size, size), antialias=True)

    return decoded
