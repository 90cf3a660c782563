"""Losses and optimizers from a training spec."""

from __future__ import annotations

from typing import Any

import keras

from cars_bench.training.answers import HEAD
from cars_bench.training.box_losses import ClassAndBoxLoss
from cars_bench.training.fused_update import fused
from cars_bench.training.specs import TrainingSpec

UPDATE_STEP = "_backend_update_step"
"""Keras' method that moves all variables by one step, which two rates override.

It is private, so `setup.cfg` bounds its version and a test watches it.  The public
`update_step` will not do: on torch Keras does not call it.
"""


def build_loss(spec: TrainingSpec, box_behind: int | None = None) -> keras.losses.Loss:
    """A loss over logits and soft targets `[B, C]`, or with boxes behind them `[B, C + 4]`.

    The reduction is a sum: the batches' weights already sum to one over a batch.

    Args:
        spec: The training.
        box_behind: C, where boxes stand behind the logits; `None` where there are none.
    """
    if box_behind is None:
        return _class_loss(spec)
    return ClassAndBoxLoss(_class_loss(spec), spec.box_loss, spec.box_weight, box_behind)


def _class_loss(spec: TrainingSpec) -> keras.losses.Loss:
    if spec.loss == "focal":
        # Lin et al. 2017, without class weights (alpha 1): gamma 0 is cross entropy.
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0,
            gamma=spec.focal_gamma,
            from_logits=True,
            label_smoothing=spec.label_smoothing,
            reduction="sum",
        )
    return keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=spec.label_smoothing, reduction="sum"
    )


def build_optimizer(
    spec: TrainingSpec, model: keras.Model | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer of a training spec, at its peak rate.

    Args:
        spec: The training.
        model: Where it has a part called `head`, `spec.backbone_rate` holds below that.
    """
    kinds = {
        "sgd": (keras.optimizers.SGD, {"momentum": spec.momentum}),
        "adam": (keras.optimizers.Adam, {"epsilon": spec.epsilon}),
        "adamw": (
            keras.optimizers.AdamW,
            {"epsilon": spec.epsilon, "weight_decay": spec.weight_decay},
        ),
    }
    kind, own = kinds[spec.optimizer]
    heads = [layer for layer in model.layers if layer.name == HEAD] if model else []
    if heads and spec.backbone_rate != 1:
        kind = _with_two_rates(kind, heads[0], spec.backbone_rate)
    if heads:
        kind = fused(kind)
    if spec.averaging:
        own = own | {"use_ema": True, "ema_momentum": spec.averaging}
    return kind(spec.learning_rate, global_clipnorm=spec.clip_norm or None, **own)


def _with_two_rates(kind: Any, head: keras.Model, share: float) -> Any:
    """The optimizer `kind` with `share` of the rate for everything outside `head`."""
    in_head = {id(variable) for variable in head.variables}
    step = getattr(kind, UPDATE_STEP)

    def update(self: Any, grads: Any, variables: Any, rate: Any) -> None:
        pairs = list(zip(grads, variables, strict=True))
        for above, factor in ((True, 1.0), (False, share)):
            part = [pair for pair in pairs if (id(pair[1]) in in_head) == above]
            if part:
                step(self, *map(list, zip(*part, strict=True)), rate * factor)

    return type("TwoRates", (kind,), {UPDATE_STEP: update})
