"""A stand-in for torch, whose tensors are numpy arrays."""

import contextlib
import os
from types import SimpleNamespace

import numpy as np

if os.environ.get("STAND_IN_TORCH") == "broken":
    raise ImportError("torch was built\nfor another machine")

__version__ = "1.13 (stand-in)"
cuda = SimpleNamespace(is_available=lambda: False)
no_grad = contextlib.nullcontext
as_tensor = np.asarray


def load(path, map_location=None, weights_only=False):
    """What `save` wrote; that it is asked for weights alone is checked here."""
    assert weights_only
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
