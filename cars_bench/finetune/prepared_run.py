"""Everything a fine-tuning run stands on, checked before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.backbones.catalogue import UNPOOLED
from cars_bench.cache.extraction import recompute
from cars_bench.cache.network import backbone_of, smallest_cosine
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.data.pixels import LiveImages
from cars_bench.errors import CacheStale
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.handoff import Drift, Handoff, measure_handoff, require_handoff
from cars_bench.finetune.plan import RunPlan
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.unfreeze import Unfreeze, apply_unfreeze, parse_unfreeze
from cars_bench.progress import Progress
from cars_bench.training.answers import has_box
from cars_bench.training.engine import answers_of
from cars_bench.training.heads import build_head
from cars_bench.training.specs import HeadSpec, refuse_mixed_boxes
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import TrainedHead, head_of_trial
from cars_bench.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class RunSketch:
    """A fine-tuning run as far as its shapes go: enough to describe, time and size it.

    Attributes:
        workspace: Where all of it is.
        plan: What it does.
        study: Where the head comes from.
        cache: The pooled features it was trained on.
        dataset: The images.
        assembled: Backbone and head.
        unfreeze: What is trained.
    """

    workspace: Workspace
    plan: RunPlan
    study: Study
    cache: FeatureCache
    dataset: Dataset
    assembled: Assembled
    unfreeze: Unfreeze

    @property
    def folder(self) -> Path:
        """Where the run's files are."""
        return self.plan.folder(self.workspace)

    @property
    def recipe(self) -> Recipe:
        """How the head is finished."""
        return self.plan.recipe

    @property
    def boundary(self) -> str | None:
        """The block whose activations are trained on; `None` on live images."""
        return None if self.recipe.live else self.unfreeze.boundary

    @property
    def part(self) -> keras.Model:
        """What is trained with what lies above it, from activations or pixels to logits."""
        boundary = self.boundary
        return self.assembled.whole() if boundary is None else self.assembled.above(boundary)

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels."""
        return self.assembled.backbone.image_size

    @property
    def early_pixels(self) -> int | None:
        """Side of the images of the first epochs; `None` where all epochs are alike.

        A head on a map takes maps of one size.
        """
        recipe = self.recipe
        pixels = recipe.early.pixels(self.image_size)
        asked = recipe.early.count(recipe.training.epochs) and pixels < self.image_size
        pools = self.cache.recipe.pooling != UNPOOLED
        return pixels if asked and pools and self.unfreeze.layers else None

    @property
    def epoch_weights(self) -> list[float]:
        """What each epoch takes against one on whole images, by the places of their maps."""
        epochs = self.recipe.training.epochs
        early = self.recipe.early.count(epochs) if self.early_pixels else 0
        share = (self.early_pixels or self.image_size) / self.image_size
        return [share**2] * early + [1.0] * (epochs - early)

    def input_shape(self, pixels: int) -> tuple[int, ...]:
        """Of what the trained part takes of an image of that side: activations, or the pixels."""
        if self.boundary is None:
            return pixels, pixels, 3
        return self.assembled.backbone.boundary_shape(self.boundary, pixels)

    @property
    def box(self) -> bool:
        """Whether the head has one."""
        return has_box(self.assembled.head)

    def images(self, split: Split) -> LiveImages:
        """The original images of a split, plain view."""
        return LiveImages(self.dataset.records(split), self.image_size)

    def labels(self, split: Split) -> npt.NDArray[np.int64]:
        """int64 `[N]`, in the order of `images`."""
        return np.array([record.label for record in self.dataset.records(split)], np.int64)


@dataclass(frozen=True, kw_only=True)
class PreparedRun(RunSketch):
    """A fine-tuning run, ready to start.

    Attributes:
        head: The trained head and its witness.
    """

    head: TrainedHead

    def with_fresh_head(self) -> PreparedRun:
        """The same with an untrained head, for comparison; all of it is drawn, as Keras does."""
        classes = len(self.head.class_names)
        fresh = build_head(
            self.head.spec, self.head.shape, classes, self.plan.seed, drawn_output=True
        )
        return replace(self, assembled=replace(self.assembled, head=fresh))


def prepare_run(workspace: Workspace, plan: RunPlan) -> PreparedRun:
    """Open everything the run needs and check that it belongs together.

    Raises:
        CacheStale: The dataset, its classes or the backbone's weights changed.
        UsageError: What to unfreeze makes no sense, or a head with a box is to learn of mixed
            images.
    """
    sketch = sketch_run(workspace, plan)
    study, cache = sketch.study, sketch.cache
    head = head_of_trial(study, study.trial(plan.trial_id), cache, refit=plan.refit)
    assembled = replace(sketch.assembled, head=head.model())
    return PreparedRun(**(vars(sketch) | {"assembled": assembled}), head=head)


def sketch_run(workspace: Workspace, plan: RunPlan) -> RunSketch:
    """Open what the run needs but its head's weights: a head of its shape stands in.

    Raises:
        As `prepare_run`.
    """
    study, cache, dataset = _opened(workspace, plan)
    spec = _require_learnable(study, plan)
    backbone = backbone_of(cache.manifest)
    head = build_head(spec, cache.manifest.shape, len(study.class_names))
    return RunSketch(
        workspace=workspace,
        plan=plan,
        study=study,
        cache=cache,
        dataset=dataset,
        assembled=Assembled(backbone, cache.recipe.pooling, head),
        unfreeze=parse_unfreeze(plan.recipe.unfreeze, backbone),
    )


def _opened(workspace: Workspace, plan: RunPlan) -> tuple[Study, FeatureCache, Dataset]:
    study = Study.open(workspace, plan.study)
    cache = FeatureCache.open(workspace, study.cache_key)
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    study.require_dataset(dataset)
    return study, cache, dataset


def _require_learnable(study: Study, plan: RunPlan) -> HeadSpec:
    """The head to finish, unless it has a box and is to learn of mixed images."""
    spec = study.trial(plan.trial_id).head or HeadSpec()
    refuse_mixed_boxes(spec.box, plan.recipe.training)
    return spec


def prove(prepared: PreparedRun, progress: Progress) -> Handoff:
    """Prove the hand-off in its two parts, on the validation images.

    Raises:
        HandoffFailed: The head does not behave as it did on the cache.
    """
    head = prepared.head
    cache = prepared.cache
    records = prepared.dataset.records("val")
    if [record.image_id for record in records] != head.image_ids:
        raise CacheStale("The validation images changed since tuning.", "cars-bench extract")
    features = recompute(cache, prepared.dataset, head.image_ids)
    measured = measure_handoff(
        head.witness,
        head.labels,
        measure_drift(cache.load("val").x[:, 0], features),
        recomputed=answers_of(prepared.assembled.head, features[:, None]),
        assembled=answers_of(prepared.assembled.whole(), prepared.images("val")),
    )
    recipe = cache.recipe
    warning = require_handoff(
        measured,
        f"{recipe.backbone} at {recipe.image_size} px",
        f"{recipe.runtime} in {recipe.precision}",
    )
    if warning:
        progress.log(f"warning: {warning}")
    return measured


def measure_drift(stored: npt.NDArray[Any], recomputed: npt.NDArray[Any]) -> Drift:
    """Compare features `[N, ...]` with those of the same images computed again."""
    difference = np.abs(np.asarray(stored, np.float64) - np.asarray(recomputed, np.float64))
    return Drift(len(stored), float(difference.max()), smallest_cosine(stored, recomputed))


def describe_run(sketch: RunSketch) -> dict[str, Any]:
    """What a run would train: layers, parameters and where the cached activations begin.

    Nothing is trained and nothing is written.
    """
    unfreeze, backbone = sketch.unfreeze, sketch.assembled.backbone
    apply_unfreeze(backbone, unfreeze)
    variables = sketch.assembled.whole().trainable_variables if unfreeze.layers else []
    return {
        "trial_id": sketch.plan.trial_id,
        "unfreeze": unfreeze.text,
        "boundary": unfreeze.boundary,
        "layers": list(unfreeze.layers),
        "from_scratch": not backbone.spec.is_network,
        "trainable_parameters": int(sum(np.prod(variable.shape) for variable in variables)),
    }
