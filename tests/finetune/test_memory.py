"""A training that memory cannot hold is not begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.errors import InputError
from cars_bench.finetune import memory
from cars_bench.finetune import run as running
from cars_bench.finetune.memory import available_bytes, fixed_bytes, image_bytes, require_memory
from cars_bench.finetune.plan import last_plan, new_plan
from cars_bench.finetune.prepared_run import RunSketch, sketch_run
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


def sketch_of(workspace: Workspace, recipe: Path, **asked: object) -> RunSketch:
    return sketch_run(workspace, new_plan(workspace, FinetuneOptions(recipe=str(recipe), **asked)))


def test_the_batches_that_would_fit_are_said(tuned, recipe, monkeypatch):
    sketch = sketch_of(tuned, recipe)
    free = fixed_bytes(sketch) + 5 * image_bytes(sketch)
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    with pytest.raises(InputError, match=r"batches of 16 holds .* batches of 5 would fit") as told:
        require_memory(sketch)
    assert told.value.fix == "batch_size: 5 in the recipe"
    monkeypatch.setattr(memory, "available_bytes", lambda: free + 11 * image_bytes(sketch))
    require_memory(sketch)


def test_no_batch_fits_where_the_weights_do_not(tuned, recipe, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    monkeypatch.setattr(running, "prove", lambda *_: pytest.fail("the proof takes its time"))
    with pytest.raises(InputError, match="no batch would fit") as told:
        finetune(tuned, FinetuneOptions(recipe=str(recipe)), Progress())
    assert told.value.code == 3
    assert last_plan(tuned) is None


@pytest.mark.parametrize(("asked", "free"), [({"unfreeze": "none"}, 0), ({}, None)])
def test_where_nothing_is_trained_or_nothing_is_known_nothing_is_refused(
    tuned, recipe, monkeypatch, asked, free
):
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    require_memory(sketch_of(tuned, recipe, **asked))


def test_more_layers_hold_more(tuned, recipe):
    top, more, live = (
        image_bytes(sketch_of(tuned, recipe, **asked))
        for asked in ({}, {"unfreeze": "last:2"}, {"unfreeze": "all", "live": True})
    )
    assert top < more < live


def test_jax_keeps_few_activations_at_hand(tuned, recipe, monkeypatch):
    sketch = sketch_of(tuned, recipe)
    before = fixed_bytes(sketch)
    monkeypatch.setattr(memory.keras.backend, "backend", lambda: "jax")
    height, width, channels = sketch.assembled.backbone.boundary_shape("block2")
    assert fixed_bytes(sketch) - before == 2 * 2 * 36 * 2 * height * width * channels
    monkeypatch.setattr(memory, "RESIDENT_BYTES", 10)
    assert fixed_bytes(sketch) == before


def test_what_is_free_is_the_least_of_machine_and_container(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "MEMINFO", meminfo)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert available_bytes() is None
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable: 500 kB\n")
    assert available_bytes() == 500 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 3000\ninactive_file 1000\n")
    assert available_bytes() == 500 * 1024
    (tmp_path / "memory.max").write_text("10000\n")
    assert available_bytes() == 7000
