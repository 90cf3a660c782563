"""The judge against plain definitions, and from the file as from the logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_bench.errors import InputError
from cars_bench.evaluation.assessment import assess
from cars_bench.evaluation.metrics import score
from cars_bench.evaluation.predictions import (
    Prediction,
    Predictions,
    predictions,
    read_predictions,
    write_predictions,
)

NAMES = ["Audi A4 Sedan 2012", "Audi TT Coupe 2011", "BMW X5 SUV 2007"]


def _answers(labels, answered):
    logits = np.eye(3, dtype=np.float32)[answered] * 10
    ids = [f"{number}.png" for number in range(len(labels))]
    return predictions(ids, logits, NAMES, labels)


@st.composite
def outputs(draw):
    """Logits of a model and the labels: 1 to 40 images of 2 to 8 classes."""
    classes = draw(st.integers(2, 8))
    n = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = generator.normal(size=(n, classes)).astype(np.float32) * draw(st.sampled_from([1, 9]))
    return logits, generator.integers(0, classes, n), [f"class {i}" for i in range(classes)]


def test_everything_by_hand():
    makes = {name: name.split()[0] for name in NAMES}
    found = assess(_answers([0, 0, 1, 2], [0, 1, 1, 2]), NAMES, {"make": makes})
    assert (found.score.top1.value, found.score.top5.value, found.score.n) == (0.75, 1.0, 4)
    assert found.macro.value == pytest.approx((0.5 + 1 + 1) / 3)
    assert [(row.name, row.recall.value, row.n) for row in found.classes] == [
        (NAMES[0], 0.5, 2), (NAMES[1], 1.0, 1), (NAMES[2], 1.0, 1),
    ]  # fmt: skip
    assert found.cells == ((0, 0, 1), (0, 1, 1), (1, 1, 1), (2, 2, 1))
    (pair,) = found.confused
    assert (pair.true, pair.predicted, pair.count, pair.share) == (NAMES[0], NAMES[1], 1, 0.5)
    assert [(pair.true, pair.back) for pair in found.mutual] == [(NAMES[0], 0)]
    assert [item.image_id for item in found.mistakes] == ["1.png"]
    assert found.calibration.expected_calibration_error == pytest.approx(0.25, abs=1e-3)
    assert {row.group: row.n for row in found.groups["make"]} == {"Audi": 3, "BMW": 1}
    assert assess(_answers([0, 0, 1, 2], [0, 1, 1, 2]), NAMES).groups == {}


@settings(deadline=None)  # a bootstrap
@given(outputs())
def test_the_parts_agree_with_each_other_and_with_the_logits(output):
    logits, labels, names = output
    ids = [f"{number}.png" for number in range(len(labels))]
    found = assess(predictions(ids, logits, names, labels), names)
    assert found.score == score(logits, labels)
    wrong = int((logits.argmax(1) != labels).sum())
    assert len(found.mistakes) == sum(pair.count for pair in found.confused) == wrong
    assert sum(pair.count + pair.back for pair in found.mutual) == wrong
    assert sum(count for *_, count in found.cells) == len(labels)
    assert sum(row.n for row in found.classes) == len(labels)
    assert found.calibration.right == found.score.top1


@settings(deadline=None)  # two bootstraps, and the disk
@given(outputs())
def test_a_file_is_judged_as_the_logits_were(tmp_path_factory, output):
    logits, labels, names = output
    ids = [f"{number}.png" for number in range(len(labels))]
    table = predictions(ids, logits, names, labels)
    path = tmp_path_factory.mktemp("judged") / "predictions-test.csv"
    write_predictions(path, table)
    assert assess(read_predictions(path), names) == assess(table, names)


def test_equal_confusions_stand_in_the_order_of_their_labels():
    found = assess(_answers([0, 1, 2], [2, 0, 1]), NAMES)
    assert [pair.true for pair in found.confused] == NAMES


def test_nothing_is_not_judged():
    with pytest.raises(InputError, match="no prediction"):
        assess(Predictions(()), NAMES)


@pytest.mark.parametrize(
    ("true", "answer"), [("Saab", NAMES[0]), (NAMES[0], "Saab"), ("", NAMES[0])]
)
def test_a_class_the_model_does_not_have_is_named(true, answer):
    table = Predictions((Prediction("1.png", true, (answer,), (1.0,)),))
    with pytest.raises(InputError, match=repr(true if true != NAMES[0] else answer)):
        assess(table, NAMES)
