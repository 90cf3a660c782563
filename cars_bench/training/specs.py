"""Heads and their training as data: frozen dataclasses that round-trip through JSON.

Models are rebuilt from these specs by code and only weights are ever loaded,
so nothing that was saved is executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from cars_bench.documents import above, at_least, one_of, to_json, within
from cars_bench.errors import UsageError

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "elu", "selu")
NORMALISATIONS = ("none", "l2", "batch", "layer")
OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = ("cross_entropy", "focal")
BOX_LOSSES = ("smooth_l1", "giou")
SAMPLINGS = ("uniform", "balanced")
READ_BY = {
    "momentum": ("optimizer", ("sgd",)),
    "weight_decay": ("optimizer", ("adamw",)),
    "epsilon": ("optimizer", ("adam", "adamw")),
    "focal_gamma": ("loss", ("focal",)),
}
"""Settings of a training that only some values of another one read."""
READ_BY_SCHEDULES = {
    "factor": ("step",),
    "every_epochs": ("step",),
    "floor": ("step", "cosine"),
    "rise": ("step",),
    "boundaries": ("piecewise",),
    "values": ("piecewise",),
    "warmup_epochs": ("cosine",),
    "minimum": ("triangular", "exp_range"),
    "cycle_epochs": ("triangular", "exp_range"),
    "gamma": ("exp_range",),
}
"""Settings of a schedule that only some kinds read."""
BELOW_THE_HEAD = ("backbone_rate", "mixed_precision", "cutmix")
"""Settings that say nothing where only a head on pooled features is trained."""
PENALISED = ("all", "last")
REDUCTIONS = ("pool", "stride", "none")
MAP_POOLINGS = ("avg", "max", "flatten")
SCHEDULES = ("constant", "step", "piecewise", "cosine", "triangular", "exp_range")


@dataclass(frozen=True)
class DenseLayer:
    """One hidden layer: dense, then batch norm, activation and dropout.

    Attributes:
        units: Width, at least 1.
        activation: One of `ACTIVATIONS`.
        batch_norm: Normalise before the activation (Ioffe & Szegedy 2015).
        dropout: Share of units dropped after the activation, 0 to below 1.
    """

    units: int
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least("units", self.units, 1)
        one_of("activation", self.activation, ACTIVATIONS)
        within("dropout", self.dropout, 0.0, 0.95)


@dataclass(frozen=True, kw_only=True)
class ConvStage:
    """Convolutions of one width, then a coarser map and dropout.

    Attributes:
        filters: Channels of its maps, at least 1.
        blocks: How many blocks, at least 1: one convolution each, or two of a residual one.
        kernel: Side of the kernels, at least 1.
        residual: A block adds its input, projected by a 1x1 convolution where its shape
            changes, before the last activation (He et al. 2015, arXiv:1512.03385).
        batch_norm: Normalise before each activation (Ioffe & Szegedy 2015).
        activation: One of `ACTIVATIONS`.
        dropout: Share of the last map's values dropped, 0 to below 1.
        reduce: How the sides are halved, one of `REDUCTIONS`: by 2x2 max pooling at the
            end, by the stride of the first block, or not.
    """

    filters: int
    blocks: int = 1
    kernel: int = 3
    residual: bool = False
    batch_norm: bool = False
    activation: str = "relu"
    dropout: float = 0.0
    reduce: str = "pool"

    def __post_init__(self) -> None:
        at_least("filters", self.filters, 1)
        at_least("blocks", self.blocks, 1)
        at_least("kernel", self.kernel, 1)
        one_of("activation", self.activation, ACTIVATIONS)
        within("dropout", self.dropout, 0.0, 0.95)
        one_of("reduce", self.reduce, REDUCTIONS)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A dense head on pooled features, or convolutions and a dense head on a map.

    Attributes:
        layers: Hidden layers from the features upwards; none is a linear head.
        normalisation: What is done to the features first, one of `NORMALISATIONS`.
        dropout: Share of features dropped before the first layer.
        noise: Standard deviation of Gaussian noise on the (normalised) features.
        l2: L2 penalty on the kernels, as Keras adds it: `l2 * sum(kernel ** 2)`.
        l1: L1 penalty on the kernels, as Keras adds it: `l1 * sum(|kernel|)`.
        penalised: Which kernels `l1` and `l2` hold for: all, or the output layers' (`last`).
        stages: Convolutions below all that, on a map or a picture.
        map_pooling: How the last map becomes the features, one of `MAP_POOLINGS`.
        box: A second output: the object's box in the view, learnt together with the class.
    """

    layers: tuple[DenseLayer, ...] = ()
    normalisation: str = "none"
    dropout: float = 0.0
    noise: float = 0.0
    l2: float = 0.0
    l1: float = 0.0
    penalised: str = "all"
    stages: tuple[ConvStage, ...] = ()
    map_pooling: str = "avg"
    box: bool = False

    def __post_init__(self) -> None:
        one_of("normalisation", self.normalisation, NORMALISATIONS)
        within("dropout", self.dropout, 0.0, 0.95)
        at_least("noise", self.noise, 0.0)
        at_least("l2", self.l2, 0.0)
        at_least("l1", self.l1, 0.0)
        one_of("penalised", self.penalised, PENALISED)
        one_of("map_pooling", self.map_pooling, MAP_POOLINGS)

    def describe(self) -> str:
        """One line a person can read: `480 relu, dropout 0.2 -> 64 relu`, or `linear`.

        Stages stand before it, alike ones together: `conv 64-128-256 bn -> 512 relu`.
        """
        parts = [*_describe_stages(self.stages), *map(_describe_layer, self.layers)]
        said = " -> ".join(parts if self.layers else [*parts, "linear"])
        return f"{said}, and a box" if self.box else said


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves; `schedules.rates` gives the formulas.

    Attributes:
        kind: One of `SCHEDULES`.
        factor: `step`: the rate is divided by this every `every_epochs`.
        every_epochs: `step`: length of a plateau of the rate, in epochs.
        floor: `step`, `cosine`: the rate never falls below this.
        rise: `step`: times the rate is multiplied for one epoch after the
            validation loss has not improved for `every_epochs`; 1 is never.
        boundaries: `piecewise`: epochs (from 1) at which the next rate begins.
        values: `piecewise`: the rates, one more than the boundaries.
        warmup_epochs: `cosine`: epochs of linear rise from zero.
        minimum: `triangular`, `exp_range`: the lower rate of the cycle.
        cycle_epochs: `triangular`, `exp_range`: half a cycle, in epochs (Smith's step
            size): a whole cycle of 10 epochs is 5.
        gamma: `exp_range`: the amplitude is multiplied by this at every step, not every cycle.
    """

    kind: str = "constant"
    factor: float = 1.3
    every_epochs: int = 10
    floor: float = 1e-6
    rise: float = 1.0
    boundaries: tuple[int, ...] = (7, 8, 16)
    values: tuple[float, ...] = (0.001, 0.0005, 0.00005, 0.00001)
    warmup_epochs: float = 0.0
    minimum: float = 1e-5
    cycle_epochs: float = 4.0
    gamma: float = 0.9999

    def __post_init__(self) -> None:
        one_of("schedule.kind", self.kind, SCHEDULES)
        at_least("schedule.factor", self.factor, 1.0)
        at_least("schedule.every_epochs", self.every_epochs, 1)
        at_least("schedule.warmup_epochs", self.warmup_epochs, 0.0)
        above("schedule.cycle_epochs", self.cycle_epochs, 0.0)
        if len(self.values) != len(self.boundaries) + 1:
            raise UsageError(
                f"schedule.values needs one more entry than schedule.boundaries, got "
                f"{len(self.values)} and {len(self.boundaries)}.",
                "add or remove a rate",
            )


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """How a model is trained.

    Attributes:
        optimizer: One of `OPTIMIZERS`; SGD uses Nesterov-free `momentum`.
        learning_rate: Peak rate, above 0.
        schedule: How the rate moves from there.
        batch_size: Images a step, at least 1.
        epochs: Upper bound on passes over the training images.
        patience_epochs: Stop after so many epochs without a better validation
            score; 0 never stops early.
        momentum: Of SGD, 0 to below 1.
        weight_decay: Decoupled, of AdamW (Loshchilov & Hutter 2019).
        epsilon: Of Adam and AdamW.
        clip_norm: Upper bound on the global gradient norm; 0 is no bound.
        loss: One of `LOSSES`.
        label_smoothing: 0 to below 1 (Szegedy et al. 2016).
        focal_gamma: Focusing parameter of the focal loss (Lin et al. 2017).
        sampling: `uniform`, or `balanced`: every class equally often.
        views: How many of the cached views an epoch draws from; 0 is all.
        mixup: Alpha of the Beta distribution that mixes pairs (Zhang et al.
            2018); 0 is off.
        cutmix: Alpha of the Beta distribution whose draw is the share that a
            window of another image leaves (Yun et al. 2019); for images and
            cached maps, not for pooled features; 0 is off.
        averaging: Momentum of the running average of the weights, 0 to below
            1, that is validated and kept instead of them (Polyak & Juditsky
            1992); 0 is off.
        backbone_rate: Rate of the layers below the head as a share of the head's.
        mixed_precision: Compute all below the head in bfloat16 (Micikevicius et
            al. 2018); pays on hardware that has it.
        box_weight: Of the box's loss beside that of the class, where the head has a box; the
            default was chosen on validation images of two drawn sets.
        box_loss: One of `BOX_LOSSES`: of the edges (Girshick 2015), or of the overlap
            (Rezatofighi et al. 2019).
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = field(default_factory=Schedule)
    batch_size: int = 64
    epochs: int = 30
    patience_epochs: int = 6
    momentum: float = 0.9
    weight_decay: float = 0.0
    epsilon: float = 1e-7
    clip_norm: float = 0.0
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    sampling: str = "uniform"
    views: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    averaging: float = 0.0
    backbone_rate: float = 1.0
    mixed_precision: bool = False
    box_weight: float = 10.0
    box_loss: str = "smooth_l1"

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        above("learning_rate", self.learning_rate, 0.0)
        at_least("batch_size", self.batch_size, 1)
        at_least("epochs", self.epochs, 1)
        at_least("patience_epochs", self.patience_epochs, 0)
        within("momentum", self.momentum, 0.0, 0.999)
        at_least("weight_decay", self.weight_decay, 0.0)
        above("epsilon", self.epsilon, 0.0)
        at_least("clip_norm", self.clip_norm, 0.0)
        one_of("loss", self.loss, LOSSES)
        within("label_smoothing", self.label_smoothing, 0.0, 0.9)
        at_least("focal_gamma", self.focal_gamma, 0.0)
        one_of("sampling", self.sampling, SAMPLINGS)
        at_least("views", self.views, 0)
        at_least("mixup", self.mixup, 0.0)
        at_least("cutmix", self.cutmix, 0.0)
        within("averaging", self.averaging, 0.0, 0.99999)
        above("backbone_rate", self.backbone_rate, 0.0)
        at_least("box_weight", self.box_weight, 0.0)
        one_of("box_loss", self.box_loss, BOX_LOSSES)


def refuse_mixed_boxes(box: bool, spec: TrainingSpec) -> None:
    """Refuse to learn boxes on mixed images: two objects in one view have no one box.

    Args:
        box: Whether the head has one.
        spec: How it is trained.

    Raises:
        UsageError: Images are mixed too.
    """
    if box and (spec.mixup or spec.cutmix):
        raise UsageError(
            "A head with a box is not trained on mixed images: mixup and cutmix put two objects "
            "into one view.",
            "set mixup and cutmix to 0, or leave out the box",
        )


def active_settings(spec: TrainingSpec, whole: bool = True) -> dict[str, Any]:
    """The settings that something reads, as plain JSON values: no momentum of Adam.

    Args:
        spec: How a model is trained.
        whole: More than a head on pooled features is trained.
    """
    document = to_json(spec)
    chosen = {"optimizer": spec.optimizer, "loss": spec.loss}
    read = {
        name: value
        for name, value in document.items()
        if name not in READ_BY or chosen[READ_BY[name][0]] in READ_BY[name][1]
    }
    schedule = to_json(spec.schedule)
    curve = {
        name: value
        for name, value in schedule.items()
        if spec.schedule.kind in READ_BY_SCHEDULES.get(name, SCHEDULES)
    }
    found = read | {"schedule": curve}
    return found if whole else {k: v for k, v in found.items() if k not in BELOW_THE_HEAD}


def _describe_stages(stages: tuple[ConvStage, ...]) -> list[str]:
    """A few words for every run of stages that differ in width and depth only."""
    alike = groupby(stages, key=_describe_kind)
    return [f"{kind[0]} {'-'.join(map(_describe_size, run))}{kind[1]}" for kind, run in alike]


def _describe_kind(stage: ConvStage) -> tuple[str, str]:
    """What stands before and behind the sizes of a stage."""
    norm = " bn" if stage.batch_norm else ""
    drop = f", dropout {stage.dropout:g}" if stage.dropout else ""
    return "residual" if stage.residual else "conv", norm + drop


def _describe_size(stage: ConvStage) -> str:
    """Width, and depth unless it is one."""
    return f"{stage.filters}x{stage.blocks}" if stage.blocks > 1 else f"{stage.filters}"


def _describe_layer(layer: DenseLayer) -> str:
    norm = " bn" if layer.batch_norm else ""
    drop = f", dropout {layer.dropout:g}" if layer.dropout else ""
    return f"{layer.units}{norm} {layer.activation}{drop}"
