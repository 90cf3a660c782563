"""Covers `cars_bench/reports/turned.py`: pictures that only one of two studies names right."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cars_bench.evaluation.comparison import Marks, answers_changed
from cars_bench.reports import turned
from cars_bench.reports.compare import compare
from cars_bench.reports.compare_page import comparison_page


@pytest.fixture
def told(finished, cropped):
    return compare(finished, cropped)


def test_every_picture_that_turned_is_counted_and_was_really_turned(finished, cropped, told):
    facts = told.answers.turned
    (row, *_) = told.answers.rows
    assert (facts.won, facts.lost) == (row.only_second, row.only_first)
    assert len(facts.right) == facts.won > 0
    before = finished.answers("finetuned", "test").by_image
    after = cropped.answers("finetuned", "test").by_image
    for item in facts.right:
        assert item.first == before[item.image_id].answers[0] != item.true
        assert item.second == after[item.image_id].answers[0] == item.true


def test_each_is_shown_as_both_saw_it(finished, cropped, told):
    crops = turned.figure(told.answers.turned, finished, cropped)
    assert set(crops) == {item.image_id for item in told.answers.turned.shown}
    for whole, cut in crops.values():
        assert _size(whole) == (96, 64)
        assert _size(cut) == (66, 42)


def _size(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).size


def test_they_are_spread_over_the_classes_and_no_more_than_fit():
    names = [f"{number:03d}" for number in range(200)]
    true = [f"class {number % 10}" for number in range(200)]
    first = Marks(names, true, np.zeros(200))
    second = Marks(names, true, np.ones(200))
    facts = turned.facts(first, second, answers_changed(first, second))
    assert (facts.won, len(facts.right), facts.wrong) == (200, 24, ())
    assert len({item.true for item in facts.right}) == 10
    assert {(item.first, item.second) for item in facts.right} == {("", "")}


def test_without_images_the_page_says_so(finished, cropped, told):
    missing = replace(cropped, dataset=None)
    crops = turned.figure(told.answers.turned, finished, missing)
    assert all(whole and not cut for whole, cut in crops.values())
    page = comparison_page(told, crops)
    assert page.count("picture not included") == len(crops)


def test_the_page_tells_the_crop_the_difference_the_classes_and_the_pictures(
    finished, cropped, told
):
    page = comparison_page(told, turned.figure(told.answers.turned, finished, cropped))
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "The crop of drawn-tiny: none; of cropped: boxes." in words
    assert [(row.stage, row.split) for row in told.answers.rows][:2] == [
        ("finetuned", "test"),
        ("frozen", "test"),
    ]
    gained = sum(item.change > 0 for item in told.answers.classes)
    assert f"cropped knows {gained} classes better and" in words
    won = told.answers.turned.won
    assert f"Turned right ({won} of {won})" in words


def test_a_study_against_itself_turns_nothing(finished):
    found = compare(finished, finished)
    assert (found.answers.turned.shown, found.cut) == ((), None)
    assert "answer turned" not in comparison_page(found, {})
