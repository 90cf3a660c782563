"""What each way to finish a head is worth: validation accuracy, paired with the recipe's own.

Every run finishes the best head of one study with the same seed; an idea changes one thing of the
recipe.  Gains are of the same validation images, answered before and after.  The test split is
not read.  Stopped and started again, it goes on.

    python benchmarks/finetune_ideas.py --workspace cars --set recipe
    python benchmarks/finetune_ideas.py --workspace cars --set views --recipe short --epochs 12
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as our commands do

from cars_bench.documents import from_json, to_json
from cars_bench.evaluation.comparison import answers_changed
from cars_bench.evaluation.predictions import Predictions, read_predictions
from cars_bench.finetune.plan import RunPlan, new_plan
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.finetune.run import perform
from cars_bench.finetune.runs import Run
from cars_bench.progress import PlainProgress
from cars_bench.workspace import Workspace

Changes = Mapping[str, Any]
"""Fields of a recipe, nested as in its file; `seed` beside them is the run's own."""

SETS: dict[str, dict[str, Changes]] = {
    "views": {
        "1 view": {"views": 1},
        "2 views": {"views": 2},
        "4 views": {"views": 4},
        "8 views": {"views": 8},
        "live": {"live": True},
    },
    "recipe": {
        "as it is": {},
        "another seed": {"seed": 1},
        "all epochs at full size": {"early": {"share": 0.0}},
        "no mixing": {"training": {"mixup": 0.0, "cutmix": 0.0}},
        "rate doubled": {"training": {"learning_rate": 0.002}},
        "backbone at the head's rate": {"training": {"backbone_rate": 1.0}},
        "batches of 64, rate doubled": {"training": {"batch_size": 64, "learning_rate": 0.002}},
        "no averaging": {"training": {"averaging": 0.0}},
        "no smoothing": {"training": {"label_smoothing": 0.0}},
        "one stage deeper": {"unfreeze": "block5"},
        "weaker augmentation": {"augment": "default"},
        "8 views": {"views": 8},
    },
}


def main() -> None:
    """Finish the head in every way of a set and print one JSON line."""
    arguments = _arguments()
    workspace = Workspace(arguments.workspace)
    options = FinetuneOptions(
        recipe=arguments.recipe, epochs=arguments.epochs, study=arguments.study
    )
    plan = new_plan(workspace, options)
    results: dict[str, Run] = {}
    for name, changes in SETS[arguments.set].items():
        print(f"== {name}", file=sys.stderr)
        results[name] = perform(workspace, _changed(plan, name, changes), PlainProgress())
    first = next(iter(results.values()))
    rows = {name: _row(result, first) for name, result in results.items()}
    shared = {"recipe": arguments.recipe, "epochs": plan.recipe.training.epochs}
    print(json.dumps({"benchmark": "finetune_ideas"} | shared | rows))


def _changed(plan: RunPlan, name: str, changes: Changes) -> RunPlan:
    """The plan with another recipe, named after it so that it is found again."""
    given = {key: value for key, value in changes.items() if key != "seed"}
    recipe = from_json(Recipe, _merged(to_json(plan.recipe), given))
    run = f"idea-{name.replace(' ', '-').replace(',', '')}-{recipe.training.epochs}"
    seed = changes.get("seed", plan.seed)
    return replace(plan, run=run, recipe=recipe, seed=seed, splits=("val",), augmentation="")


def _merged(document: dict[str, Any], changes: Changes) -> dict[str, Any]:
    return document | {
        key: _merged(document[key], value) if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }


def _row(result: Run, first: Run) -> dict[str, Any]:
    score = result.record.finetuned["val"]
    gain = answers_changed(_answers(first), _answers(result)).difference
    with (result.folder / "history.csv").open() as stream:
        seconds = [float(row["seconds"]) for row in csv.DictReader(stream)]
    return {
        "val_top1": [
            round(value, 4) for value in (score.top1.value, score.top1.low, score.top1.high)
        ],
        "against_first": [round(value, 4) for value in (gain.value, gain.low, gain.high)],
        "images": score.n,
        "seconds_per_epoch": round(statistics.mean(seconds), 1),
    }


def _answers(result: Run) -> Predictions:
    return read_predictions(result.folder / "predictions-val.csv")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True, help="with a finished study")
    parser.add_argument("--study", help="by default the last one")
    parser.add_argument("--set", choices=list(SETS), default="recipe")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--epochs", type=int, help="by default the recipe's")
    return parser.parse_args()


if __name__ == "__main__":
    main()
