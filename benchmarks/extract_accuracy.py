"""Is accuracy paid for speed?  Logistic regression on features of two runtimes.

The same images go through TensorFlow in float32 with float32 features, and
through the runtime that `auto` chooses with the features as they are stored by
default.  The same multinomial logistic regression is fitted on both; the test
split is not read.

    python benchmarks/extract_accuracy.py --source photos/
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.progress import Progress
from cars_bench.tuning.probes import logistic, standardised
from cars_bench.workspace import Workspace


def top1(workspace: Workspace, options: ExtractOptions) -> dict[str, object]:
    """Best validation top-1 of the regression over its penalties, and what it stood on."""
    cache = FeatureCache.open(workspace, extract(workspace, options, Progress()).key)
    data = standardised(cache.load("train"), cache.load("val"))
    scores = [float((said == data.val_labels).mean()) for _, said in logistic(data)]
    recipe = cache.recipe
    return {
        "runtime": recipe.runtime,
        "precision": recipe.precision,
        "dtype": recipe.dtype,
        "val_top1": round(max(scores), 4),
        "val_images": len(data.val_labels),
    }


def main() -> None:
    """Extract twice, fit twice and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="as for `prepare`")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--weights", default="imagenet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        prepare(workspace, PrepareOptions(source=arguments.source), Progress())
        exact, fast = (
            top1(
                workspace,
                ExtractOptions(
                    backbone=arguments.backbone,
                    weights=arguments.weights,
                    runtime=runtime,
                    dtype=dtype,
                ),
            )
            for runtime, dtype in (("tensorflow", "float32"), ("auto", "float16"))
        )
    points = 100 * (float(str(fast["val_top1"])) - float(str(exact["val_top1"])))
    print(
        json.dumps(
            {
                "benchmark": "extract_accuracy",
                "difference_in_points": round(points, 2),
                "exact": exact,
                "fast": fast,
            }
        )
    )


if __name__ == "__main__":
    main()
