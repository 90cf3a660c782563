"""Whether this machine multiplies in bfloat16, asked before a recipe that wants it is begun."""

from __future__ import annotations

import keras

from cars_bench.errors import UsageError
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.speed import processor_field

BFLOAT16 = {"avx512_bf16", "amx_bf16"}
"""Linux' names of the instructions that multiply in it."""


def require_precision(recipe: Recipe) -> None:
    """Refuse mixed precision where it would only be emulated, and slower than float32.

    Nothing is known of an accelerator's instructions, nor of a system that does not tell its own.

    Raises:
        UsageError: The processor has no bfloat16.
    """
    if not recipe.training.mixed_precision or keras.distribution.list_devices("gpu"):
        return
    flags = set(processor_field("flags").split())
    if flags and not BFLOAT16 & flags:
        raise UsageError(
            "This processor has no bfloat16, so mixed precision would be slower than float32.",
            "mixed_precision: false in the recipe",
        )
