from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

PROGRAMS = """
import jax, numpy as np
from cars_bench.training.engine import Examples, ScanEngine, _arrays
from cars_bench.training.batches import draw_epoch
from cars_bench.training.heads import build_head
from cars_bench.training.loop import compile_model
from cars_bench.training.specs import HeadSpec, TrainingSpec

spec = TrainingSpec(batch_size=2)
model = build_head(HeadSpec(), (3,), 2)
compile_model(model, spec)
engine = ScanEngine(model, Examples(np.ones((4, 1, 3), np.float32), np.array([0, 1, 0, 1])))
batches = draw_epoch(spec, engine.examples.labels, 1, 0, 0)
rates = np.full(batches.steps, 0.1, np.float32)
epoch = engine._epoch.lower(engine._state(), engine._resident, _arrays(batches), rates)
parts = [[v.value for v in part] for part in (model.trainable_variables, [])]
forward = engine._forward._compiled.lower(*parts, np.ones((2, 3), np.float32))
for program in (epoch, forward):
    print(sum("dot_general" in line for line in program.as_text().splitlines()),
          program.as_text().count("precision = [HIGHEST, HIGHEST]"))
"""


def test_every_product_of_a_compiled_epoch_and_forward_pass_is_asked_for_in_full_precision():
    if not importlib.util.find_spec("jax"):
        pytest.skip("JAX is not installed")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    epoch, forward = (tuple(map(int, line.split())) for line in done.stdout.splitlines()[-2:])
    assert epoch[0] == epoch[1] > forward[0] == forward[1] == 1
