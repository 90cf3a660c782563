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
    assert "warm ends at 30.0%; cold ends at 600.0%. Two." in svg
    assert svg.count(">warm<") == 1


def test_a_curve_without_a_value_is_drawn_and_said():
    assert "none ends at no value" in str(curves_figure("f", "t", [Curve("none", ((1, None),))]))


def test_the_table_lays_several_measures_of_one_epoch_in_one_row():
    table = curves_table({"top-1": [RISING], "loss": [Curve("warm", ((1, 2.5),))]})
    assert table.headings == ("Attempt", "Epoch", "top-1", "loss")
    assert table.rows == (("warm", "1", "0.1", "2.5"), ("warm", "2", "0.3", ""),
                          ("warm", "3", "", ""))  # fmt: skip
