"""Contact sheets: the cache's views, and those of a fine-tuning policy that differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.checksums import canonical
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.data.policies import NAMED
from cars_bench.documents import write_record
from cars_bench.finetune.plan import PLAN_FILE, RunPlan
from cars_bench.finetune.recipe import Recipe
from cars_bench.reports.contact_sheets import CACHE, MOST_SHEETS, SCRATCH, contact_sheets
from cars_bench.reports.page import report_page
from cars_bench.reports.pictures import MOST_VIEWS
from cars_bench.reports.report import gather

STORED = 3


@pytest.fixture
def inputs(finished, tmp_path):
    """A cache of three views of `light`, and a live run whose plan says `strong`."""
    run = _run(finished, tmp_path / "run", "strong")
    return replace(finished, manifest=_manifest(finished, "light"), runs=(run,), boundaries={})


def _manifest(inputs, augment, **changes):
    recipe = replace(
        inputs.manifest.recipe,
        resize=RESIZE_METHOD,
        augment=canonical(NAMED[augment].to_json()),
        **changes,
    )
    shards = tuple(
        replace(shard, view=view)
        for shard in inputs.manifest.shards
        for view in range(STORED if shard.split == "train" else 1)
    )
    extraction = replace(inputs.manifest.extraction, augment=augment)
    return replace(inputs.manifest, recipe=recipe, shards=shards, extraction=extraction)


def _run(inputs, folder, augment):
    folder.mkdir()
    plan = RunPlan(
        run=folder.name,
        study="s",
        trial_id="t0001",
        recipe=Recipe(augment=augment, live=True),
        augmentation=canonical(NAMED[augment].to_json()),
    )
    write_record(folder / PLAN_FILE, plan)
    return replace(inputs.runs[0], folder=folder)


def test_the_policy_of_a_live_run_has_a_sheet_of_its_own(inputs):
    sheets = contact_sheets(inputs)
    assert [(sheet.title, sheet.policy) for sheet in sheets] == [
        (CACHE, "light"),
        ("The run run", "strong"),
    ]
    assert [sheet.strips[0].views for sheet in sheets] == [STORED, MOST_VIEWS]
    assert sheets[1].ranges == NAMED["strong"].describe()
    first, second = ({strip.image_id for strip in sheet.strips} for sheet in sheets)
    assert first & second  # the same images, so that policies can be compared


def test_networks_from_scratch_show_the_live_views_that_they_see(inputs):
    pictures = _manifest(inputs, "light", backbone="pixels")
    plain = tuple(shard for shard in pictures.shards if shard.view == 0)
    stored = replace(inputs, manifest=replace(pictures, shards=plain), runs=())
    (sheet,) = contact_sheets(stored)
    assert (sheet.title, sheet.policy) == (SCRATCH, "light")
    assert {strip.views for strip in sheet.strips} == {MOST_VIEWS}


def test_a_policy_that_is_shown_already_is_not_shown_again(inputs, tmp_path):
    alike = _run(inputs, tmp_path / "alike", "light")
    assert len(contact_sheets(replace(inputs, runs=(alike,)))) == 1


def test_a_run_on_cached_activations_shows_that_caches_views(inputs):
    run = inputs.runs[0]
    cached = replace(run, record=replace(run.record, boundary_cache_key="k"))
    boundaries = {"k": _manifest(inputs, "default")}
    sheets = contact_sheets(replace(inputs, runs=(cached,), boundaries=boundaries))
    assert [sheet.policy for sheet in sheets] == ["light", "default"]
    assert sheets[1].strips[0].views == STORED
    assert len(contact_sheets(replace(inputs, runs=(cached,)))) == 1


def test_a_run_that_trained_nothing_has_none(inputs):
    run = inputs.runs[0]
    bare = replace(run, record=replace(run.record, epochs=0))
    assert len(contact_sheets(replace(inputs, runs=(bare,)))) == 1


def test_no_more_than_a_few_sheets_are_drawn(inputs, tmp_path):
    names = ("strong", "default", "none", "light")
    runs = tuple(_run(inputs, tmp_path / name, name) for name in names)
    assert len(contact_sheets(replace(inputs, runs=runs))) == MOST_SHEETS


def test_without_the_images_there_is_nothing_to_show(inputs, finished):
    assert contact_sheets(replace(inputs, dataset=None)) == ()
    other = _manifest(finished, "light", dataset_digest="another")
    assert [sheet.policy for sheet in contact_sheets(replace(inputs, manifest=other))] == ["strong"]
    table = finished.dataset.table.assign(sha256="0" * 64)
    changed = replace(inputs, dataset=replace(finished.dataset, table=table))
    assert contact_sheets(changed) == ()


def test_the_page_names_policy_and_ranges(inputs, finished):
    page = report_page(gather(finished), inputs)
    part = page.split("What the network sees")[1].split("<h3", maxsplit=1)[0]
    assert "policy <code>strong</code>: each view is mirrored half of the time; cut to 0.6" in part
