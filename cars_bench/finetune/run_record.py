"""What `run.json` says of a finished run: what it was made of, its training and its scores."""

from __future__ import annotations

from dataclasses import dataclass, field

from cars_bench.backbones.catalogue import is_picture
from cars_bench.data.card import SplitSummary
from cars_bench.data.detection import DetectorCrop
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.calibration import Temperature
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.finetune.handoff import FrozenCheck, Handoff, WholeCheck
from cars_bench.finetune.plan import Steering
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.speed import Speed
from cars_bench.training.specs import HeadSpec, TrainingSpec


@dataclass(frozen=True)
class RunDataset:
    """The images.

    Attributes:
        name: Of the dataset.
        digest: Of all that the dataset says of its images.
        crop: What each image was cut to: `none`, `boxes` or `detector`.
        split: How they were split.
        detection: How a detector's boxes were found and chosen.
    """

    name: str
    digest: str
    crop: str
    split: SplitSummary
    detection: DetectorCrop | None = None


@dataclass(frozen=True)
class RunFeatures:
    """How the features were computed that the head was tuned on.

    Attributes:
        dtype: That they are stored in.
        runtime: That computed them.
        precision: That it computed in.
    """

    dtype: str
    runtime: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class RunBackbone:
    """The network below the head.

    Attributes:
        name: In the catalogue.
        image_size: Side of its input in pixels.
        pooling: How its feature map becomes one vector.
        weights_digest: SHA-256 of the weights it started from.
        boundary: Last block of it below the head; `None` is all of it.
    """

    name: str
    image_size: int
    pooling: str
    weights_digest: str
    boundary: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether nothing is below the head, which is a network from scratch."""
        return is_picture(self.name)


@dataclass(frozen=True)
class Unfrozen:
    """What was trained.

    Attributes:
        text: As it was asked for.
        boundary: The last whole block below it; `None` when nothing below is frozen.
        layers: Names of the backbone's layers.
        trainable_parameters: Of these and the head.
    """

    text: str
    boundary: str | None
    layers: tuple[str, ...]
    trainable_parameters: int


@dataclass(frozen=True)
class SavedModelCheck:
    """The SavedModel against the model it was made of, on the same whole images.

    Attributes:
        images: How many were compared.
        undecodable: Images of a format that TensorFlow does not read.
        top1_agreement: Share with the same first answer; `None` where nothing was compared.
        max_abs_diff: Largest difference of two probabilities; the same.
    """

    images: int
    undecodable: int
    top1_agreement: float | None
    max_abs_diff: float | None


BoxScores = dict[str, BoxScore]


@dataclass(frozen=True)
class RunBoxes:
    """How good the boxes are, by split; empty where the head tells none.

    Attributes:
        frozen: Of the head on cached features.
        finetuned: Of the finished model.
    """

    frozen: BoxScores = field(default_factory=dict)
    finetuned: BoxScores = field(default_factory=dict)

    def joined(self, other: RunBoxes) -> RunBoxes:
        """With what another one has for splits that this one lacks."""
        return RunBoxes(other.frozen | self.frozen, other.finetuned | self.finetuned)

    def by_stage(self) -> dict[str, BoxScores]:
        """Both by the stage's name."""
        return vars(self)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `run.json` says.

    Attributes:
        run: Folder name under `tuning/STUDY/final/`.
        study: Name of the study.
        trial_id: The head that was finished.
        created: When, ISO 8601, UTC.
        dataset: The images.
        class_names: Index is the label.
        cache_key: Of the features that the head was tuned on.
        features: How these were computed.
        backbone: The network below the head.
        head: The head.
        width: Of the features it takes, or channels of the maps.
        unfreeze: What was trained.
        boundary_cache_key: Cache of activations that it was trained on; `None` on live images.
        training: How it was trained.
        recipe: How the head was finished, resolved.
        asked: The command line's words for all of it but study and trial.
        warm_up: Started from the trained head.
        refit: Trained on train and validation images together.
        seed: Of the order, the views and a fresh head.
        steering: Changes made by hand on the way.
        epochs: Trained; 0 where nothing was.
        best_epoch: The one that was kept, from 1.
        seconds: Wall time of the run's last session.
        training_seconds: Wall time of all epochs.
        handoff: The proof before anything was unfrozen.
        frozen_check: The proof that only what was unfrozen moved; `None` when nothing was.
        whole_check: The proof that the finished model answers as its trained part; `None`
            when it was trained whole.
        frozen: Accuracy of the head on cached features, by split.
        finetuned: Accuracy of the finished model, by split.
        backend: Keras backend that it was trained on.
        versions: Of what the numbers depend on.
        sha256: Digests of the model's files, by name.
        tables: Digests of its tables of predictions and of its epochs, by name.
        saved_model_check: How the SavedModel did, where one was written.
        speed: How fast the finished model answers; `None` where it was not measured.
        temperature: That was fitted on the validation images; `None` where these were trained
            on, where all of them are named right, and in runs made before it was kept.
        sides: Height and width of the maps that the head takes; empty for pooled features.
        boxes: How good the boxes are, where the head tells any.
        purpose: What it measures, where it is no model of the user's: `fidelity`.
        early_pixels: Side of the images of the first epochs; `None` where all had one size.
    """

    run: str
    study: str
    trial_id: str
    created: str
    dataset: RunDataset
    class_names: tuple[str, ...]
    cache_key: str
    features: RunFeatures
    backbone: RunBackbone
    head: HeadSpec
    width: int
    unfreeze: Unfrozen
    boundary_cache_key: str | None
    training: TrainingSpec
    recipe: Recipe
    asked: tuple[str, ...]
    warm_up: bool
    refit: bool
    seed: int
    steering: tuple[Steering, ...]
    epochs: int
    best_epoch: int
    seconds: float
    training_seconds: float
    handoff: Handoff
    frozen_check: FrozenCheck | None
    whole_check: WholeCheck | None
    frozen: dict[str, SplitScore]
    finetuned: dict[str, SplitScore]
    backend: str
    versions: dict[str, str]
    sha256: dict[str, str]
    saved_model_check: SavedModelCheck | None
    speed: Speed | None = None
    temperature: Temperature | None = None
    tables: dict[str, str] = field(default_factory=dict)
    sides: tuple[int, ...] = ()
    boxes: RunBoxes = field(default_factory=RunBoxes)
    purpose: str = ""
    early_pixels: int | None = None

    @property
    def early_text(self) -> str:
        """Which epochs had smaller images, after a comma; empty where none had."""
        if self.early_pixels is None:
            return ""
        count = self.recipe.early.count(self.training.epochs)
        return f", the first {count} on images of {self.early_pixels} pixels"

    @property
    def stages(self) -> dict[str, str]:
        """What the head and the finished model are called, by stage."""
        return stage_names(self.backbone.name, bool(self.epochs))

    @property
    def without_temperature(self) -> str:
        """Why it has no temperature; empty where it has one."""
        if self.temperature:
            return ""
        if self.refit:
            return "it was trained on the validation images, so none was fitted"
        score = self.finetuned.get("val")
        if score and score.top1.value == 1:
            return "every validation image is named right, so none can be fitted"
        return "it was made before one was kept; cars-bench evaluate --split val fits it"


def stage_names(backbone: str, trained: bool = True) -> dict[str, str]:
    """What the head and the finished model are called, by stage.

    Args:
        backbone: Below the head; a network from scratch has none that could be frozen.
        trained: Fine-tuning trained anything.
    """
    return {
        "frozen": "as tuned" if is_picture(backbone) else "frozen",
        "finetuned": "fine-tuned" if trained else "assembled",
    }
