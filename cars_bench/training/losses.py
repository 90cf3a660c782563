"""Losses and optimizers from a training spec."""

from __future__ import annotations

import keras

from cars_bench.training.specs import TrainingSpec


def build_loss(spec: TrainingSpec) -> keras.losses.Loss:
    """A loss over logits and soft targets `[B, C]`.

    The reduction is a sum: the plan's weights already sum to one over a batch.
    """
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


def build_optimizer(spec: TrainingSpec) -> keras.optimizers.Optimizer:
    """The optimizer of a training spec, at its peak rate."""
    clip = spec.clip_norm or None
    if spec.optimizer == "sgd":
        return keras.optimizers.SGD(
            spec.learning_rate, momentum=spec.momentum, global_clipnorm=clip
        )
    if spec.optimizer == "adamw":
        return keras.optimizers.AdamW(
            spec.learning_rate,
            weight_decay=spec.weight_decay,
            epsilon=spec.epsilon,
            global_clipnorm=clip,
        )
    return keras.optimizers.Adam(spec.learning_rate, epsilon=spec.epsilon, global_clipnorm=clip)
