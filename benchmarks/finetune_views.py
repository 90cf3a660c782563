"""Validation accuracy of a head finished on 1, 2, 4 and 8 cached views, and on live images.

Every run finishes the best head of a workspace's last study with the same
recipe, seed and number of epochs; only where the training images come from
changes.  The test split is not read.  Stopped and started again, it goes on.

    python benchmarks/finetune_views.py --workspace cars --epochs 16
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as our commands do


from cars_bench.evaluation.comparison import answers_changed
from cars_bench.evaluation.predictions import Predictions, read_predictions
from cars_bench.finetune.plan import RunPlan, new_plan
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import perform
from cars_bench.finetune.runs import Run
from cars_bench.progress import PlainProgress
from cars_bench.workspace import Workspace


def main() -> None:
    """Finish the head from every source and print one JSON line."""
    arguments = _arguments()
    workspace = Workspace(arguments.workspace)
    options = FinetuneOptions(recipe=arguments.recipe, epochs=arguments.epochs)
    results = {}
    for name, plan in _plans(new_plan(workspace, options), arguments.views):
        print(f"== {name}", file=sys.stderr)
        results[name] = perform(workspace, plan, PlainProgress())
    first = next(iter(results.values()))
    rows = {name: _row(result, first) for name, result in results.items()}
    shared = {"recipe": arguments.recipe, "epochs": arguments.epochs}
    print(json.dumps({"benchmark": "finetune_views"} | shared | rows))


def _plans(plan: RunPlan, counts: list[int]) -> Iterator[tuple[str, RunPlan]]:
    """A run of each source, named after it so that it is found again."""
    sources = {f"{count} cached": {"views": count, "live": False} for count in counts}
    for name, changes in (sources | {"live": {"live": True}}).items():
        recipe = replace(plan.recipe, **changes)
        run = f"views-{name.split()[0]}-{recipe.training.epochs}"
        yield name, replace(plan, run=run, recipe=recipe, splits=("val",))


def _row(result: Run, first: Run) -> dict[str, Any]:
    top1 = result.record.finetuned["val"].top1
    gain = answers_changed(_answers(first), _answers(result)).difference
    with (result.folder / "history.csv").open() as stream:
        seconds = [float(row["seconds"]) for row in csv.DictReader(stream)]
    return {
        "val_top1": [round(top1[key], 4) for key in ("value", "low", "high")],
        "against_first": [round(value, 4) for value in (gain.value, gain.low, gain.high)],
        "images": result.record.finetuned["val"].n,
        "seconds_per_epoch": round(statistics.median(seconds), 1),
    }


def _answers(result: Run) -> Predictions:
    return read_predictions(result.folder / "predictions-val.csv")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True, help="with a finished study")
    parser.add_argument("--recipe", default="short")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8])
    return parser.parse_args()


if __name__ == "__main__":
    main()
