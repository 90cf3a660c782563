"""Everything a fine-tuning run stands on, checked before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.backbones.build import Backbone, build_backbone
from cars_bench.cache.recompute import recompute
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.errors import CacheStale
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.handoff import Handoff, measure_handoff, require_handoff
from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.recipe import DEFAULT, Recipe, load_recipe
from cars_bench.finetune.unfreeze import Unfreeze, apply_unfreeze, parse_unfreeze
from cars_bench.training.engine import logits_of
from cars_bench.training.specs import Schedule, TrainingSpec
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.study import Study
from cars_bench.tuning.winner import TrainedHead, head_of_trial
from cars_bench.workspace import Workspace


@dataclass(frozen=True)
class FinetuneOptions:
    """What `finetune` was asked for; what is `None` is left to the recipe.

    Attributes:
        trial: A trial's id; `None` takes the best one.
        unfreeze: What to unfreeze, as `unfreeze.parse_unfreeze` understands it.
        epochs: Passes over the training images.
        learning_rate: Peak rate.
        schedule: Kind of schedule.
        recipe: Shipped name or path of a YAML file.
        live: Run the whole network on freshly decoded images.
        warm_up: Start from the trained head; otherwise from a fresh one.
        seed: Of the order, the views and a fresh head.
        study: By default the last one.
        run: Name of the run; by default made from the trial and what is unfrozen.
    """

    trial: str | None = None
    unfreeze: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    recipe: str = DEFAULT
    live: bool = False
    warm_up: bool = True
    seed: int = 0
    study: str | None = None
    run: str | None = None

    def resolved(self) -> Recipe:
        """The recipe with what was asked for on the command line put in its place."""
        recipe = load_recipe(self.recipe)
        training: TrainingSpec = recipe.training
        if self.epochs is not None:
            training = replace(training, epochs=self.epochs)
        if self.learning_rate is not None:
            training = replace(training, learning_rate=self.learning_rate)
        if self.schedule is not None:
            training = replace(training, schedule=Schedule(self.schedule))
        return replace(
            recipe,
            training=training,
            unfreeze=self.unfreeze or recipe.unfreeze,
            live=self.live or recipe.live,
        )


@dataclass(frozen=True)
class Job:
    """A fine-tuning run, ready to start.

    Attributes:
        study: Where the head comes from.
        cache: The pooled features it was trained on.
        dataset: The images.
        head: The trained head and its witness.
        assembled: Backbone and head.
        recipe: How it is finished.
        unfreeze: What is trained.
    """

    study: Study
    cache: FeatureCache
    dataset: Dataset
    head: TrainedHead
    assembled: Assembled
    recipe: Recipe
    unfreeze: Unfreeze

    def images(self, split: Split) -> LiveImages:
        """The original images of a split, plain view."""
        return LiveImages(self.dataset.records(split), self.assembled.backbone.image_size)

    def labels(self, split: Split) -> npt.NDArray[np.int64]:
        """int64 `[N]`, in the order of `images`."""
        return np.array([record.label for record in self.dataset.records(split)], np.int64)


def prepare_job(workspace: Workspace, options: FinetuneOptions) -> Job:
    """Open everything the run needs and check that it belongs together.

    Raises:
        CacheStale: The dataset, its classes or the backbone's weights changed.
        UsageError: The recipe or what to unfreeze makes no sense.
    """
    recipe = options.resolved()
    study = Study.open(workspace, options.study)
    cache = FeatureCache.open(workspace, study.cache_key)
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    study.require_dataset(dataset)
    record = study.trial(options.trial) if options.trial else best_trial(study)
    head = head_of_trial(study, record, cache)
    backbone = _backbone(cache)
    asked = None if recipe.unfreeze == DEFAULT else recipe.unfreeze
    unfreeze = parse_unfreeze(asked, backbone)
    assembled = Assembled(backbone, cache.recipe.pooling, head.model())
    return Job(study, cache, dataset, head, assembled, recipe, unfreeze)


def prove(job: Job) -> Handoff:
    """Prove the hand-off in its two parts, on the validation images.

    Raises:
        HandoffFailed: The head does not behave as it did on the cache.
    """
    records = job.dataset.records("val")
    if [record.image_id for record in records] != job.head.image_ids:
        raise CacheStale("The validation images changed since tuning.", "cars-bench extract")
    features = recompute(job.cache, job.dataset, job.head.image_ids)
    recomputed = logits_of(job.assembled.head, features[:, None])
    assembled = logits_of(job.assembled.whole(), job.images("val"))
    measured = measure_handoff(job.head, recomputed, assembled)
    recipe = job.cache.recipe
    require_handoff(
        measured,
        f"{recipe.backbone} at {recipe.image_size} px, {recipe.runtime} in {recipe.precision} "
        "against Keras in float32",
    )
    return measured


def _backbone(cache: FeatureCache) -> Backbone:
    recipe, weights = cache.recipe, str(cache.manifest.extraction["weights"])
    backbone = build_backbone(recipe.backbone, weights, recipe.image_size)
    if backbone.weights_digest != recipe.weights_digest:
        raise CacheStale(
            f"The weights {weights} of {recipe.backbone} are not those of the cache {cache.key}.",
            "put the old weights back, or cars-bench extract and tune again",
        )
    return backbone


def describe_job(job: Job) -> dict[str, Any]:
    """What a run would train: layers, parameters and where the cached activations begin."""
    apply_unfreeze(job.assembled.backbone, job.unfreeze)
    variables = job.assembled.whole().trainable_variables
    return {
        "trial_id": job.head.trial_id,
        "unfreeze": job.unfreeze.text,
        "boundary": job.unfreeze.boundary,
        "layers": list(job.unfreeze.layers),
        "trainable_parameters": int(sum(np.prod(variable.shape) for variable in variables)),
    }
