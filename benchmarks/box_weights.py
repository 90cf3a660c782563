"""Mean IoU on the validation images by the weight of the box's loss, on drawn images of a seed.

Draws the demo images, extracts EfficientNet-Lite0's features, and for each weight trains one
head with a box and finishes it with the default recipe.  The test split is not read, so the
weight can be chosen here.  Stopped and started again, it goes on.

    python benchmarks/box_weights.py --workspace drawn0 --seed 0
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as our commands do

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.finetune.plan import RunPlan, new_plan
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import perform
from cars_bench.finetune.run_record import RunRecord
from cars_bench.progress import PlainProgress
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.workspace import Workspace

SPACE = """\
fixed: {box: true, box_weight: %s, learning_rate: 0.003, epochs: 30, patience_epochs: 0}
hyperparameters:
  depth: {type: choice, values: [0]}
"""


def main() -> None:
    """Finish a head with every weight and print one JSON line."""
    arguments = _arguments()
    workspace = Workspace(arguments.workspace)
    progress = PlainProgress()
    prepare(workspace, PrepareOptions(demo=True, seed=arguments.seed), progress)
    extract(workspace, ExtractOptions(backbone="efficientnet-lite0", image_size=128), progress)
    rows = {}
    for weight in arguments.weights:
        print(f"== box_weight {weight:g}", file=sys.stderr)
        rows[f"{weight:g}"] = _row(_finished(workspace, weight, progress))
    print(json.dumps({"benchmark": "box_weights", "seed": arguments.seed} | rows))


def _finished(workspace: Workspace, weight: float, progress: PlainProgress) -> RunRecord:
    study = f"weight-{weight:g}"
    space = workspace.root / f"{study}.yaml"
    space.write_text(SPACE % weight)
    tune(workspace, TuneOptions(trials=1, space=str(space), repeats=0, study=study), progress)
    return perform(workspace, _plan(workspace, study, weight), progress).record


def _plan(workspace: Workspace, study: str, weight: float) -> RunPlan:
    """A run named after its weight, so that it is found again; it reads no test image."""
    plan = new_plan(workspace, FinetuneOptions(study=study))
    training = replace(plan.recipe.training, box_weight=weight)
    recipe = replace(plan.recipe, training=training)
    return replace(plan, run=study, recipe=recipe, splits=("val",))


def _row(record: RunRecord) -> dict[str, Any]:
    boxes = record.boxes.finetuned["val"]
    iou = boxes.mean_iou
    return {
        "val_mean_iou": [round(value, 3) for value in (iou.value, iou.low, iou.high)],
        "frozen_val_mean_iou": round(record.boxes.frozen["val"].mean_iou.value, 3),
        "above_75": round(boxes.above_75.value, 3),
        "val_top1": round(record.finetuned["val"].top1.value, 3),
        "images": boxes.n,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True, help="is made where it is not")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn images and their split")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 2.0, 5.0, 10.0])
    return parser.parse_args()


if __name__ == "__main__":
    main()
