"""What JAX compiles of a model: its outputs in one call, in the precision that its numbers have.

Neither JAX nor a backend of Keras is loaded until something is compiled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def full_precision() -> AbstractContextManager[None]:
    """Have JAX multiply float32 numbers as float32 where the body is traced.

    By default a GPU rounds their factors to TF32's 10 bits.  On an H200 that moved logits of
    one and the same head by 0.006, where the hand-off allows 0.01; in float32 they are within
    0.00002 of a CPU's.  Layers in bfloat16 stay there.
    """
    import jax

    found: AbstractContextManager[None] = jax.default_matmul_precision("float32")
    return found


class CompiledForward:
    """A model's outputs by one compiled call (JAX), with the values its variables have then.

    Keras' own `predict` would trace and compile another program for the same outputs.
    """

    def __init__(self, model: keras.Model) -> None:
        import jax

        self._model = model
        self._compiled = jax.jit(self._outputs)

    def __call__(self, x: Floats) -> Any:
        """Outputs of one block."""
        model = self._model
        parts = (model.trainable_variables, model.non_trainable_variables)
        return self._compiled(*[[variable.value for variable in part] for part in parts], x)

    def _outputs(self, trainable: Any, frozen: Any, x: Any) -> Any:
        with full_precision():
            return self._model.stateless_call(trainable, frozen, x, training=False)[0]
