"""An optimizer whose update is one compiled program.

Operation by operation, AdamW with a running average goes through each weight some twenty times,
and on small images that takes as long as the products; XLA makes one pass of it.  Only the update
is compiled: XLA's convolutions are several times slower on a CPU.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["fused"]


def fused(kind: Any) -> Any:
    """The class of optimizers `kind` with its update compiled, on TensorFlow.

    JAX compiles whole epochs by itself, and torch has fused operations; there it is `kind`.

    Args:
        kind: A class of Keras' optimizers.
    """
    if keras.backend.backend() != "tensorflow":
        return kind
    import tensorflow as tf

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        # Keras calls this once, when it traces a training step.
        if not self.built:
            self.build(list(trainable_variables))  # no variable is made inside a program
        update = tf.function(
            lambda given: kind.apply(self, given, trainable_variables),
            jit_compile=True,
            autograph=False,
        )
        update(list(grads))

    return type("Fused", (kind,), {"apply": apply})
