"""A finished run's model card: what it is, what it was made of, what it cannot do.

It publishes the numbers of the run's record and the one sentence on whether fine-tuning
paid, and computes none.
"""

from __future__ import annotations

from cars_bench.atomic import write_text
from cars_bench.data.detection import DetectorCrop
from cars_bench.documents import to_json
from cars_bench.finetune.gain import gain_of
from cars_bench.finetune.run_record import RunRecord
from cars_bench.finetune.runs import STAGES, Run

CARD_FILE = "model-card.md"


def write_card(run: Run) -> None:
    """Write `model-card.md` (after Mitchell et al. 2019) from a run's record."""
    write_text(run.folder / CARD_FILE, "\n".join(_card(run)) + "\n")


def _card(run: Run) -> list[str]:
    record = run.record
    backbone = record.backbone
    side = backbone.image_size
    return [
        f"# {record.study}/{record.run}",
        "",
        f"Made {record.created} by cars-bench {record.versions['cars-bench']}.",
        "",
        "## What it is",
        "",
        f"- Answers one of {len(record.class_names)} classes for a {side} x {side} RGB image, "
        "pixels 0 to 255; preprocessing is inside.",
        f"- Backbone: {backbone.name}, {backbone.pooling} pooling, weights "
        f"{backbone.weights_digest[:16]}.",
        *(
            ["- Tells the object's box too, as shares of the picture's sides."]
            if record.head.box
            else []
        ),
        f"- Head: {record.head.describe()} (trial {record.trial_id}).",
        "",
        "## Data",
        "",
        f"- Dataset {record.dataset.name!r}, digest {record.dataset.digest[:16]}; "
        f"features from the cache {record.cache_key}.",
        *_splits(record),
        "",
        "## Training",
        "",
        *(_trained(record) if record.epochs else _untrained(record)),
        *(
            f"- Steered by hand from epoch {step.from_epoch}: {to_json(step)}."
            for step in record.steering
        ),
        "",
        "## Results",
        "",
        "| | split | images | top-1 (95% interval) | top-5 |",
        "|---|---|---|---|---|",
        *_results(run),
        "",
        *_boxes(record),
        *_paid(run),
        *_calibrated(record),
        "",
        "## Limits",
        "",
        "- It names one of its classes for any image, also for one that shows none of them.",
        "- The numbers hold for images like those of the dataset; light, viewpoint and "
        "crop that are not in it were not measured.",
        *([f"- Speed: {record.speed.text}."] if record.speed else []),
        *_saved_model_limits(record),
        "- Not for deciding about people.",
    ]


def _splits(record: RunRecord) -> list[str]:
    split = record.dataset.split
    counts = ", ".join(f"{count:,} {name}" for name, count in split.counts.items())
    lines = [f"- Split by image before anything else: {counts} ({split.how})."]
    if record.dataset.crop == "boxes":
        lines.append(
            "- Images were cut to their boxes; `cars-bench predict` and the SavedModel take "
            "an image whole, so cut yours to the object first."
        )
    if record.dataset.detection:
        lines.append(f"- {_found_by(record.dataset.detection)}")
    if record.refit:
        lines.append(
            "- Validation images count as training images, so the model is not measured on them."
        )
    elif record.epochs:
        lines.append(f"- The epoch ({record.best_epoch}) was chosen on validation.")
    tested = "test" in record.finetuned
    read = "read once, when nothing was left to choose" if tested else "not read"
    return [*lines, f"- The test images were {read}."]


def _found_by(crop: DetectorCrop) -> str:
    named = ", ".join(crop.classes) or "any class"
    return (
        f"Images were cut to the largest box ({named}, score {crop.threshold:g} or more, margin "
        f"{crop.margin:.0%}) of the detector {crop.detector} (digest {crop.digest[:16]}), and "
        "taken whole where it found none. `cars-bench predict` does the same to new images; the "
        "SavedModel and other exports take an image as it is, so cut yours first."
    )


def _trained(record: RunRecord) -> list[str]:
    unfreeze = record.unfreeze
    training = record.training
    return [
        f"- Unfrozen: {unfreeze.text} ({len(unfreeze.layers)} layers, "
        f"{unfreeze.trainable_parameters:,} parameters with the head); every BatchNormalization "
        "of the backbone stays frozen.",
        f"- {record.epochs} epochs of {training.optimizer} at {training.learning_rate:g} "
        f"({training.schedule.kind}){record.early_text}, batch {training.batch_size}, label "
        f"smoothing {training.label_smoothing:g}, mixup {training.mixup or 'off'}, cutmix "
        f"{training.cutmix or 'off'}, averaging of weights {training.averaging or 'off'}, "
        f"{_examples(record)}, seed {record.seed}.",
    ]


def _untrained(record: RunRecord) -> list[str]:
    if record.warm_up and record.backbone.is_picture:
        return ["- The search trained the whole network from scratch; it is kept as it is."]
    if record.warm_up:
        return ["- Nothing was unfrozen: the head is as tuned on features of the frozen backbone."]
    return ["- Nothing was trained: the head has random weights."]


def _saved_model_limits(record: RunRecord) -> list[str]:
    check = record.saved_model_check
    if not check:
        return []
    lines = [
        "- The SavedModel reads the formats that TensorFlow does (JPEG, PNG, GIF, BMP). It does "
        "not turn an image by its EXIF orientation and drops transparency, where `cars-bench "
        "predict` turns it upright and lays it over white; TensorFlow's decoding and resizing "
        "differ a little from Pillow's, which the model was trained on."
    ]
    if check.images:
        lines.append(
            f"- On {check.images} validation images the SavedModel's first answer was that of "
            f"the model on Pillow's pixels for {check.top1_agreement:.0%}; probabilities "
            f"differed by at most {check.max_abs_diff:.4f}."
        )
    if check.undecodable:
        lines.append(f"- The SavedModel could not read {check.undecodable} validation images.")
    return lines


def _examples(record: RunRecord) -> str:
    recipe = record.recipe
    if record.boundary_cache_key:
        return f"{recipe.views} cached views of the policy {recipe.augment!r}"
    return f"images augmented anew by the policy {recipe.augment!r} each time"


def _boxes(record: RunRecord) -> list[str]:
    """How good its boxes are, where it tells any."""
    lines = [
        f"- Boxes, {record.stages[stage]}, {split}: {found.text}."
        for stage, scores in record.boxes.by_stage().items()
        for split, found in scores.items()
    ]
    return [*lines, ""] if lines else []


def _paid(run: Run) -> list[str]:
    gain = gain_of(run)
    return [gain.advice, ""] if gain else []


def _calibrated(record: RunRecord) -> list[str]:
    """How far its probabilities are off, and what one temperature does to that."""
    fitted = record.temperature
    if fitted is None:
        return [
            f"Its probabilities are not calibrated: {record.without_temperature}. "
            "`cars-bench evaluate` tells how far they are off."
        ]
    return [
        f"Its probabilities are not calibrated; `cars-bench predict --calibrated` divides its "
        f"logits by a temperature of {fitted.value:.3g}, fitted on {fitted.images:,} validation "
        "images (Guo et al. 2017).",
        "",
        "| split | expected calibration error | with the temperature |",
        "|---|---|---|",
        *(
            f"| {split}{' (fitted)' if split == 'val' else ''} "
            f"| {fitted.before[split].expected_calibration_error:.4f} "
            f"| {after.expected_calibration_error:.4f} |"
            for split, after in fitted.after.items()
        ),
    ]


def _results(run: Run) -> list[str]:
    return [
        f"| {run.record.stages[stage]} | {split} | {score.n:,} | {score.top1.value:.1%} "
        f"({score.top1.low:.1%} to {score.top1.high:.1%}) | {score.top5.value:.1%} |"
        for stage in STAGES
        for split, score in run.scores(stage).items()
    ]
