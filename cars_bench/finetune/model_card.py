"""A finished run's model card: what it is, what it was made of, what it cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cars_bench.documents import from_json
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.workspace import write_text

CARD_FILE = "model-card.md"


def write_card(folder: Path, document: dict[str, Any]) -> None:
    """Write `model-card.md` (after Mitchell et al. 2019) from a run's record."""
    write_text(folder / CARD_FILE, "\n".join(_card(document)) + "\n")


def _card(document: dict[str, Any]) -> list[str]:
    backbone, names = document["backbone"], document["class_names"]
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
        *_splits(document),
        "",
        "## Training",
        "",
        *(_trained(document) if document["epochs"] else _untrained(document)),
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
        *_saved_model_limits(document),
        "- Not for deciding about people.",
    ]


def _splits(document: dict[str, Any]) -> list[str]:
    split, lines = document["dataset"]["split"], []
    counts = ", ".join(f"{count:,} {name}" for name, count in split["counts"].items())
    lines.append(f"- Split by image before anything else: {counts} ({split['how']}).")
    if document["dataset"]["crop"] == "boxes":
        lines.append(
            "- Images were cut to their boxes; `cars-bench predict` and the SavedModel take "
            "an image whole, so cut yours to the object first."
        )
    if document["refit"]:
        lines.append(
            "- Validation images count as training images, so the model is not measured on them."
        )
    elif document["epochs"]:
        lines.append(f"- The epoch ({document['best_epoch']}) was chosen on validation.")
    tested = "test" in document["finetuned"]
    read = "read once, when nothing was left to choose" if tested else "not read"
    return [*lines, f"- The test images were {read}."]


def _trained(document: dict[str, Any]) -> list[str]:
    unfreeze, training = document["unfreeze"], from_json(TrainingSpec, document["training"])
    return [
        f"- Unfrozen: {unfreeze['text']} ({len(unfreeze['layers'])} layers, "
        f"{unfreeze['trainable_parameters']:,} parameters with the head); every BatchNormalization "
        "of the backbone stays frozen.",
        f"- {document['epochs']} epochs of {training.optimizer} at {training.learning_rate:g} "
        f"({training.schedule.kind}), batch {training.batch_size}, label smoothing "
        f"{training.label_smoothing:g}, mixup {training.mixup or 'off'}, cutmix "
        f"{training.cutmix or 'off'}, averaging of weights {training.averaging or 'off'}, "
        f"{_examples(document)}, seed {document['seed']}.",
    ]


def _untrained(document: dict[str, Any]) -> list[str]:
    if document["warm_up"]:
        return ["- Nothing was unfrozen: the head is as tuned on features of the frozen backbone."]
    return ["- Nothing was trained: the head has random weights."]


def _saved_model_limits(document: dict[str, Any]) -> list[str]:
    check = document["saved_model_check"]
    if not check:
        return []
    lines = [
        "- The SavedModel reads the formats that TensorFlow does (JPEG, PNG, GIF, BMP). It does "
        "not turn an image by its EXIF orientation and drops transparency, where `cars-bench "
        "predict` turns it upright and lays it over white; TensorFlow's decoding and resizing "
        "differ a little from Pillow's, which the model was trained on."
    ]
    if check["images"]:
        lines.append(
            f"- On {check['images']} validation images the SavedModel's first answer was that of "
            f"the model on Pillow's pixels for {check['top1_agreement']:.0%}; probabilities "
            f"differed by at most {check['max_abs_diff']:.4f}."
        )
    if check["undecodable"]:
        lines.append(f"- The SavedModel could not read {check['undecodable']} validation images.")
    return lines


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
