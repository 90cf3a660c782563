"""A run that the disk cannot hold is not begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cars_bench.cache.manifest import read_manifest
from cars_bench.errors import InputError
from cars_bench.finetune import run as running
from cars_bench.finetune.disk import activation_bytes, model_bytes
from cars_bench.finetune.plan import last_plan, new_plan
from cars_bench.finetune.prepared_run import PreparedRun, prepare_run
from cars_bench.finetune.recipe import EarlyEpochs, FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


def prepared_of(workspace: Workspace, recipe: Path, **asked: object) -> PreparedRun:
    options = FinetuneOptions(recipe=str(recipe), **asked)
    return prepare_run(workspace, new_plan(workspace, options))


def test_a_disk_that_is_too_small_is_said_before_anything_is_spent(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    monkeypatch.setattr(running, "prove", lambda *_: pytest.fail("the proof takes its time"))
    with pytest.raises(InputError, match=r"The run .* needs .* kB more, and .* 10 B free"):
        finetune(tuned, FinetuneOptions(recipe=str(recipe)), Progress())
    assert last_plan(tuned) is None


def test_what_is_needed_covers_what_was_written(
    tuned: Workspace, recipe: Path, finished_once: tuple[Path, Run]
) -> None:
    root, run = finished_once
    prepared = prepared_of(tuned, recipe)
    written = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    assert model_bytes(prepared) > written / 4  # a tiny model's files are mostly their headers
    key = run.record.boundary_cache_key
    cached = read_manifest(Workspace(root).features / str(key)).bytes
    assert cached / 2 < activation_bytes(prepared) <= cached


def test_activations_that_are_cached_are_not_counted_again(
    finished: Workspace, tuned: Workspace, recipe: Path
) -> None:
    assert activation_bytes(prepared_of(finished, recipe)) == 0
    assert activation_bytes(prepared_of(tuned, recipe, live=True)) == 0
    assert activation_bytes(prepared_of(tuned, recipe, unfreeze="none")) == 0
    unfinished = tuned.features / ("0" * 16)
    unfinished.mkdir()
    before = activation_bytes(prepared_of(tuned, recipe))
    (unfinished / "train-view00-00000-of-00001.tfrecord").write_bytes(bytes(1000))
    assert activation_bytes(prepared_of(tuned, recipe)) == before - 1000


def test_nothing_unfrozen_needs_no_checkpoint(tuned: Workspace, recipe: Path) -> None:
    few = model_bytes(prepared_of(tuned, recipe, unfreeze="none"))
    some = model_bytes(prepared_of(tuned, recipe))
    most = model_bytes(prepared_of(tuned, recipe, unfreeze="all", live=True))
    assert few < some < most


def test_activations_of_the_smaller_images_are_counted_too(
    finished: Workspace, tuned: Workspace, recipe: Path
) -> None:
    def early(run: PreparedRun) -> PreparedRun:
        changed = replace(run.recipe, early=EarlyEpochs(share=0.5))
        return replace(run, plan=replace(run.plan, recipe=changed))

    plain = prepared_of(tuned, recipe)
    one, both = activation_bytes(plain), activation_bytes(early(plain))
    assert one < both < 2 * one
    assert activation_bytes(early(prepared_of(finished, recipe))) == both - one
