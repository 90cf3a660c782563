"""A finished pipeline on the tiny backbone, as the rooms below have it."""

from __future__ import annotations

from tests.finetune import conftest as fixtures

finished, finished_once = fixtures.finished, fixtures.finished_once
tuned, tuned_once, recipe = fixtures.tuned, fixtures.tuned_once, fixtures.recipe
