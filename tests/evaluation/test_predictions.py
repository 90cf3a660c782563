"""The predictions table: what goes in comes out, whatever the names."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cars_bench.errors import InputError, RecordDamaged
from cars_bench.evaluation.predictions import (
    COLUMNS,
    Prediction,
    Predictions,
    frame_of,
    predictions,
    read_predictions,
    write_predictions,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CHANCES = st.floats(0, 1).map(lambda chance: round(chance, 6))


@st.composite
def rows(draw):
    answers = draw(st.lists(NAMES, min_size=1, max_size=5))
    chances = draw(st.lists(CHANCES, min_size=len(answers), max_size=len(answers)))
    return Prediction(draw(NAMES), draw(NAMES), tuple(answers), tuple(chances))


@settings(deadline=None)  # it waits for the disk
@given(table=st.lists(rows(), max_size=5))
@example(table=[Prediction("a\rb", "", ("x",), (1.0,)), Prediction("\n", '"', ("",), (0.0,))])
def test_the_table_survives_the_file(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("predictions") / "predictions.csv"
    write_predictions(path, table)
    assert list(read_predictions(path)) == table


def test_logits_become_names_and_probabilities():
    logits = np.log([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    first, second = predictions(["a", "b"], logits, ["x", "y", "z"], [2, 2])
    assert first == Prediction("a", "z", ("z", "y", "x"), (0.7, 0.2, 0.1))
    assert (first.correct(), second.correct(), second.correct(2), second.correct(3)) == (
        True, False, False, True,
    )  # fmt: skip


def test_columns_are_those_of_the_contract(tmp_path):
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions(["a"], np.zeros((1, 3)), ["x", "y", "z"], [0]))
    header, row = csv.reader(path.read_text().splitlines())
    assert header == list(COLUMNS)
    assert ",".join(header) == (
        "image_id,true,pred1,pred2,pred3,pred4,pred5,prob1,prob2,prob3,prob4,prob5"
    )
    assert row[2:7] == ["x", "y", "z", "", ""]
    assert row[7:] == ["0.333333"] * 3 + ["", ""]


def test_unknown_classes_stay_empty_and_are_never_right():
    (row,) = predictions(["a"], np.zeros((1, 2)), ["", "y"])
    assert row.true == ""
    assert not row.correct(5)


@pytest.mark.parametrize(
    ("ids", "labels"), [(["a"], None), (["a", "b", "c"], None), (["a", "b"], [0])]
)
def test_lengths_that_disagree_are_refused(ids, labels):
    with pytest.raises(ValueError, match="images"):
        predictions(ids, np.zeros((2, 3)), ["x", "y", "z"], labels)


HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a table"),
        ("image_id,true\na,b\n", "not a table"),
        (HEADER + "a,b,c\n", "row 1 is damaged: a row has 3 columns"),
        (HEADER + "a,x,x,,,,,much,,,,\n", "much"),
        (HEADER + "a,x,x,,,,,1.5,,,,\n", "from 0 to 1"),
        (HEADER + "a,x,x,,,,,nan,,,,\n", "from 0 to 1"),
        (HEADER + "a,x,,,,,,,,,,\n", "no probabilities"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(RecordDamaged, match=message):
        read_predictions(path)


def test_a_class_that_is_none_of_the_models_is_refused(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(HEADER + "a,x,y,,,,,1,,,,\nb,,x,,,,,1,,,,\n")
    assert len(read_predictions(path, ["x", "y"])) == 2
    with pytest.raises(RecordDamaged, match="names a class 'y' that is none"):
        read_predictions(path, ["x", "z"])


def test_bytes_that_are_not_text_are_refused(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordDamaged, match="damaged"):
        read_predictions(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="no predictions") as caught:
        read_predictions(tmp_path / "none.csv")
    assert caught.value.fix == "cars-bench evaluate"


def test_the_table_has_columns_and_is_found_by_image():
    table = predictions(["a", "b"], np.log([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]), list("xyz"), [2, 2])
    assert (table.image_ids, table.true, table.predicted) == (("a", "b"), ("z", "z"), ("z", "x"))
    assert table.answers[1] == ("x", "y", "z")
    assert table.probabilities[1] == (0.5, 0.3, 0.2)
    assert table.correct.tolist() == [True, False]
    assert table.hits(3).tolist() == [True, True]
    assert table.confidence.tolist() == [0.7, 0.5]
    assert table.by_image["b"].given == 0.2
    assert len(table) == 2


def test_a_truth_that_is_not_among_the_answers_was_given_nothing():
    assert Prediction("a", "z", ("x", "y"), (0.6, 0.4)).given is None


def test_as_a_frame_what_is_not_answered_has_no_value():
    two = Prediction("a.jpg", "x", ("x", "y"), (0.75, 0.25))
    frame = frame_of(Predictions((two,)))
    assert tuple(frame.columns) == COLUMNS
    row = frame.iloc[0]
    assert (row["image_id"], row["pred2"], row["prob2"]) == ("a.jpg", "y", 0.25)
    assert row[["pred3", "prob3"]].isna().all()
    assert frame_of(Predictions(())).empty
