"""The Python API: what the commands do, for notebooks and scripts.

Each function does what the command of its name does and has its options as keywords; so the
two may be mixed, on one workspace.  What is left out is what a notebook has no use for
(`--dry-run`, `--json`).  `workspace=None` is what it is on the command line:
`$CARS_BENCH_WORKSPACE`, else the current folder.  Progress is shown unless `quiet=True`.

Errors are `cars_bench.errors.CarsBenchError`, with `message` and `fix`.

Keras fixes its backend as it is imported, for as long as Python runs.  Where nothing has
imported it yet, these functions do, on TensorFlow (or on what KERAS_BACKEND says); else they
take it as it is, and say so.  `tune` trains in processes of its own, as the command does: on
JAX where that is installed.
"""

from __future__ import annotations

from cars_bench.api.features import extract, prepare
from cars_bench.api.models import evaluate, finetune, predict
from cars_bench.api.studies import open_cache, open_study, tune

__all__ = [
    "evaluate",
    "extract",
    "finetune",
    "open_cache",
    "open_study",
    "predict",
    "prepare",
    "tune",
]
