"""What a run takes, told from one measured batch before anything is spent.

This is the one place that estimates it, for `--dry-run` and for `--time`.  Nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cars_bench.cache.extract import forecast
from cars_bench.cache.extraction import prepare_extraction
from cars_bench.data.pixels import LiveImages
from cars_bench.finetune.budget import cut_text, fitted
from cars_bench.finetune.plan import RunPlan
from cars_bench.finetune.prepared_run import RunSketch
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.speed import median_seconds
from cars_bench.finetune.training_data import boundary_options, live, trained_model
from cars_bench.finetune.unfreeze import apply_unfreeze
from cars_bench.progress import Progress, duration, plural
from cars_bench.training.batches import EpochBatches, draw_epoch
from cars_bench.training.engine import Engine, Examples, answers_of, build_engine
from cars_bench.training.loop import compile_model, mixed_precision
from cars_bench.training.schedules import rates
from cars_bench.training.specs import TrainingSpec

CHECKED_IMAGES = 16
"""Of a batch that the whole network is timed on."""
PROOFS = 3
"""Passes over the validation images: two of the hand-off and one of the whole model."""


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """Seconds that a run takes.

    Attributes:
        extraction: Of the activations that are not cached yet.
        epoch: Of one epoch, validation included.
        epochs: How many.
        early_epoch: Of one of the first epochs, whose images are smaller.
        early_epochs: How many of `epochs` are such.
        views: Of each training image.
        checks: Of the proofs and the final evaluation.
    """

    extraction: float
    epoch: float
    epochs: int
    early_epoch: float = 0.0
    early_epochs: int = 0
    views: int
    checks: float

    @property
    def seconds(self) -> float:
        """Of all of it."""
        trained = (self.epochs - self.early_epochs) * self.epoch
        return self.extraction + self.early_epochs * self.early_epoch + trained + self.checks

    @property
    def text(self) -> str:
        """In one line."""
        extracted = f"{duration(self.extraction)} for activations of {plural(self.views, 'view')}, "
        early = f"{plural(self.early_epochs, 'epoch')} of {self.early_epoch:.1f} s, "
        late = f"{plural(self.epochs - self.early_epochs, 'epoch')} of {self.epoch:.1f} s, "
        trained = (early if self.early_epochs else "") + late
        parts = (extracted if self.extraction else "") + (trained if self.epochs else "")
        return f"about {duration(self.seconds)}: {parts}{duration(self.checks)} for checks"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What was measured, and how often a run does it.

    Attributes:
        extraction: Seconds until activations of 1, 2, ... views are cached; empty without any.
        batch: Seconds of a training step.
        early_batch: Seconds of one on smaller images; 0 where none are.
        answer: Seconds of an image through the trained part.
        whole: Seconds of an image through the whole network, decoding included.
        trained: Images of an epoch; 0 where nothing is trained.
        validated: Images that are validated on after each.
        checked: Images that go through the whole network before and after.
    """

    extraction: tuple[float, ...] = ()
    batch: float = 0.0
    early_batch: float = 0.0
    answer: float = 0.0
    whole: float
    trained: int = 0
    validated: int = 0
    checked: int

    def cost(self, recipe: Recipe) -> RunCost:
        """Of a recipe that differs in epochs and views alone from the one that was measured."""
        steps = -(-self.trained // recipe.training.batch_size)
        validation = self.validated * self.answer
        epochs = recipe.training.epochs if self.trained else 0
        early = recipe.early.count(epochs) if self.early_batch else 0
        return RunCost(
            extraction=self.extraction[recipe.views - 1] if self.extraction else 0.0,
            epoch=steps * self.batch + validation,
            epochs=epochs,
            early_epoch=steps * self.early_batch + validation if early else 0.0,
            early_epochs=early,
            views=recipe.views,
            checks=self.checked * self.whole,
        )


def cut_to_budget(sketch: RunSketch, pace: Pace, progress: Progress) -> RunPlan:
    """The plan with the epochs and views that its budget allows; said in one line.

    Raises:
        UsageError: It does not allow one epoch.
    """
    plan = sketch.plan
    if not plan.budget or plan.budget.asked or not pace.trained:
        return plan
    seconds = plan.budget.seconds
    recipe = fitted(plan.recipe, seconds, lambda item: pace.cost(item).seconds)
    progress.log(f"{cut_text(recipe, plan.recipe, seconds)} ({pace.cost(recipe).text})")
    return plan.cut(recipe)


def measure_pace(sketch: RunSketch, progress: Progress) -> Pace:
    """Time one batch of each thing that a run does; the sketch's weights are used up.

    Raises:
        As `extract`, of a dry run.
    """
    counts = {split: len(sketch.dataset.records(split)) for split in ("train", "val", "test")}
    whole = _seconds_of_whole(sketch)
    checked = PROOFS * counts["val"] + counts["test"]
    if not sketch.unfreeze.layers:
        return Pace(whole=whole, checked=checked)
    refit = sketch.plan.refit
    batch, answer = _seconds_of_batch(sketch)
    early = sketch.early_pixels
    return Pace(
        extraction=_seconds_of_extraction(sketch, progress),
        batch=batch,
        early_batch=_seconds_of_batch(sketch, early)[0] if early else 0.0,
        answer=answer,
        whole=whole,
        trained=counts["train"] + (counts["val"] if refit else 0),
        validated=0 if refit else counts["val"],
        checked=checked,
    )


def _seconds_of_extraction(sketch: RunSketch, progress: Progress) -> tuple[float, ...]:
    """By views from 1 on, as `extract --dry-run` tells it."""
    boundary = sketch.boundary
    if boundary is None:
        return ()
    extractions = [
        prepare_extraction(
            sketch.workspace,
            replace(boundary_options(sketch, boundary, pixels), dry_run=True),
            progress,
        )
        for pixels in filter(None, (sketch.image_size, sketch.early_pixels))
    ]
    return tuple(
        sum(forecast(sketch.workspace, one, views + 1).seconds for one in extractions)
        for views in range(sketch.recipe.views)
    )


def _seconds_of_batch(sketch: RunSketch, pixels: int | None = None) -> tuple[float, float]:
    """Of one training step, and of an image that is only asked about.

    Args:
        sketch: The run.
        pixels: Side of the images, where it is not the run's own.
    """
    apply_unfreeze(sketch.assembled.backbone, sketch.unfreeze)
    spec = sketch.recipe.training
    model = trained_model(sketch, pixels)
    with mixed_precision(model, spec.mixed_precision):
        compile_model(model, spec)
        examples = _examples(sketch, pixels or sketch.image_size)
        engine = build_engine(model, examples)
        count = min(spec.batch_size, len(examples.labels))
        few = examples.x[np.arange(count), np.zeros(count, np.int64)][:, None]
        answered = median_seconds(lambda: engine.answers(few)) / count
        return step_seconds(engine, spec), answered


def step_seconds(engine: Engine, spec: TrainingSpec) -> float:
    """Of one training step on the engine's examples."""
    examples = engine.examples
    drawn = draw_epoch(spec, examples.labels, examples.x.shape[1], 0, 0)
    batches = EpochBatches(**{name: value[:1] for name, value in vars(drawn).items()})
    rate = rates(spec, 0, 1)
    return median_seconds(lambda: engine.run(batches, rate))


def _examples(sketch: RunSketch, pixels: int) -> Examples:
    """Live images themselves, or made-up activations of one batch: their values cost nothing."""
    if sketch.boundary is None:
        return live(sketch, "train", pixels)
    count = min(sketch.recipe.training.batch_size, len(sketch.dataset.records("train")))
    shape = sketch.input_shape(pixels)
    random = np.random.default_rng(0)
    x = random.random((count, 1, *shape), np.float32).astype(np.float16)
    labels = sketch.labels("train")[:count]
    boxes = np.full((count, 1, 4), 0.5, np.float32) if sketch.box else None
    return Examples(x, labels, boxes)


def _seconds_of_whole(sketch: RunSketch) -> float:
    """Of one image, decoded and through the whole network."""
    records = sketch.dataset.records("val")[:CHECKED_IMAGES]
    images = LiveImages(records, sketch.assembled.backbone.image_size)
    whole = sketch.assembled.whole()
    return median_seconds(lambda: answers_of(whole, images)) / len(records)
