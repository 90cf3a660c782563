"""Several curves in one figure, and their numbers."""

from __future__ import annotations

import itertools

from cars_bench.reports.curves import Curve, _looks, curves_figure, curves_table

RISING = Curve("warm", ((1, 0.1), (2, 0.3), (3, None)))
FALLING = Curve("cold", ((3, 5.3), (4, 6.0)))


def test_no_two_curves_look_alike_whatever_their_colour():
    looks = list(itertools.islice(_looks(), 15))
    assert len({(dash, marker) for _, dash, marker in looks}) == len(looks)


def test_the_figure_says_its_numbers_to_a_screen_reader_and_names_each_curve():
    svg = str(curves_figure("f", "Top-1", [RISING, FALLING], share=True, note="Two."))
    assert "warm is best at epoch 2 with 30.0% and ends at 30.0%; cold is best at epoch 4" in svg
    assert "600.0%. Two." in svg
    assert svg.count(">warm<") == 1


def test_the_best_epoch_is_the_first_of_equals_and_of_losses_only_the_end_is_told():
    curve = Curve("c", ((1, 0.2), (2, 0.4), (3, 0.4), (4, 0.3)))
    assert curve.highest == (2, 0.4)
    assert "c is best at epoch 2 with 40.0% and ends at 30.0%" in str(
        curves_figure("f", "t", [curve], share=True)
    )
    assert "c ends at 0.3" in str(curves_figure("f", "t", [curve]))


def test_a_curve_without_a_value_is_drawn_and_said():
    assert "none ends at no value" in str(curves_figure("f", "t", [Curve("none", ((1, None),))]))


def test_the_table_lays_several_measures_of_one_epoch_in_one_row():
    table = curves_table({"top-1": [RISING], "loss": [Curve("warm", ((1, 2.5),))]})
    assert table.headings == ("Attempt", "Epoch", "top-1", "loss")
    assert table.rows == (("warm", "1", "0.1", "2.5"), ("warm", "2", "0.3", ""),
                          ("warm", "3", "", ""))  # fmt: skip
