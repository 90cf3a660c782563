from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cars_bench.evaluation.boxes import overlap_score
from cars_bench.evaluation.predictions import Predictions
from cars_bench.reports.pictures import Thumbnails
from cars_bench.reports.sections.boxes import (
    EACH,
    BoxLook,
    facts,
    figure,
    pictures,
    table,
    with_boxes,
)
from tests.reports.changes import with_card
from tests.reports.pages import page_of

PLACE = ("finetuned", "test")
VALIDATION = ("finetuned", "val")
SCORE = overlap_score(np.array([0.4, 0.7, 0.9]))


def _boxed(inputs, place):
    """With a box in every answer: the true one, moved across by a growing share of its width."""
    images = inputs.dataset.images
    rows = []
    for number, row in enumerate(inputs.predictions[place]):
        left, top, right, bottom = images[row.image_id].box
        away = (right - left) * number / len(inputs.predictions[place])
        rows.append(replace(row, box=(left + away, top, right + away, bottom)))
    answers = inputs.predictions | {place: Predictions(tuple(rows))}
    return replace(inputs, predictions=answers)


@pytest.fixture
def boxed(finished):
    return _boxed(finished, PLACE)


def test_every_box_is_held_against_the_true_one(boxed):
    found = facts(boxed)
    n = len(boxed.predictions[PLACE])
    moved = np.arange(n) / n
    assert found.score.n == sum(found.counts) == n
    assert found.score.mean_iou.value == pytest.approx(((1 - moved) / (1 + moved)).mean(), abs=1e-3)
    overlaps = [look.iou for look in found.looks]
    assert overlaps == sorted(overlaps)
    assert len(overlaps) == 3 * EACH
    assert overlaps[-1] == pytest.approx(1, abs=1e-3)


def test_figure_and_table_show_the_same_counts(boxed):
    found = facts(boxed)
    assert "mean IoU" in figure(found)["boxes"]
    rows = table(found)["boxes"].rows
    assert [int(row[1]) for row in rows] == list(found.counts)


def test_both_boxes_are_drawn_and_differ_without_colour():
    picture = Image.new("RGB", (100, 80), (90, 90, 90))
    look = BoxLook(image_id="a", true=(0.1, 0.1, 0.4, 0.9), said=(0.6, 0.1, 0.9, 0.9), iou=0.0)
    grey = np.asarray(with_boxes(picture, look).convert("L"))
    true = grey[8:72, 8:13].max(axis=1)
    said = grey[8:72, 57:62].max(axis=1)
    assert (true > 240).all()
    assert said.max() < 200
    inside = np.asarray(with_boxes(picture, look))[8:72, 59]
    assert 0.2 < (inside == (213, 94, 0)).all(axis=1).mean() < 0.8


def test_pictures_are_drawn_and_always_the_same(boxed):
    found = facts(boxed)
    drawn = pictures(found, boxed.dataset, Thumbnails(boxed.dataset, 10**6))
    assert set(drawn) == {look.image_id for look in found.looks}
    assert drawn == pictures(found, boxed.dataset, Thumbnails(boxed.dataset, 10**6))


def test_without_boxes_or_images_nothing_is_said(finished, boxed):
    assert facts(finished) is None
    assert facts(replace(boxed, dataset=None)) is None
    assert facts(with_card(boxed, crop="boxes")) is None
    assert pictures(None, finished.dataset, Thumbnails(None, 0)) == {}


def test_the_page_tells_the_overlap(page, boxed):
    assert "Where it says the object is" not in page
    said = page_of(boxed)
    assert "Where it says the object is" in said
    assert "both boxes, IoU" in said


def test_before_the_test_images_are_read_validation_tells_the_overlap(finished):
    assert VALIDATION in finished.predictions
    unread = {place: said for place, said in finished.predictions.items() if place[1] == "val"}
    inputs = _boxed(replace(finished, predictions=unread), VALIDATION)
    found = facts(inputs)
    assert (found.split, found.score.n) == ("val", len(unread[VALIDATION]))
    said = page_of(inputs)
    assert "Where it says the object is" in said
    assert f"On {found.score.n} validation images" in said
    assert figure(found)["boxes"].count("validation images")
    assert "Validation images" in table(found)["boxes"].headings


def test_of_both_splits_test_is_told(boxed):
    both = _boxed(boxed, VALIDATION)
    assert facts(both).split == "test"


def test_a_search_that_nothing_was_finished_of_tells_its_winners_overlap(evaluated_winner):
    head = evaluated_winner.head
    kept = replace(head, record=replace(head.record, boxes=SCORE))
    tuned = replace(evaluated_winner, predictions={}, head=kept)
    found = facts(tuned)
    assert (found.model, found.split, found.score) == ("frozen winner", "val", SCORE)
    assert figure(found) == table(found) == {}
    said = page_of(tuned)
    assert "On 3 validation images the box that the frozen winner tells" in said
    assert "cars-bench evaluate --split val" in said
