from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cars_bench.reports.svg import BLUE, INK, PHONE_PIXELS, draw, plain_axes, share_rows


def _drawn(name: str = "a", width: float = 4.8) -> str:
    def paint(figure):
        axes = plain_axes(figure, "epoch", "top-1")
        axes.plot([0, 1], [0, 1], color=BLUE)
        axes.text(0.5, 0.5, "inked", color=INK)

    return draw(name, "A <title>", "Said & done.", paint, width=width)


def test_the_same_figure_is_drawn_the_same_every_time():
    assert _drawn() == _drawn()


def test_colours_follow_the_pages_theme():
    drawn = _drawn()
    assert "var(--blue)" in drawn
    assert "var(--ink)" in drawn
    assert BLUE not in drawn


def test_ids_begin_with_the_figures_name_so_that_none_is_on_the_page_twice():
    one, other = (set(re.findall(r' id="([^"]+)"', _drawn(name))) for name in ("a", "b"))
    assert one
    assert all(name.startswith("a-") for name in one)
    assert not one & other


def test_title_and_description_are_read_out_and_stay_text():
    drawn = _drawn()
    assert '<title id="a-title">A &lt;title&gt;</title>' in drawn
    assert '<desc id="a-desc">Said &amp; done.</desc>' in drawn


@pytest.mark.parametrize(("width", "wide"), [(4.8, False), (7.6, True)])
def test_a_figure_that_a_phone_cannot_show_whole_says_so(width, wide):
    drawn = _drawn(width=width)
    least = int(re.findall(r"min-width:(\d+)px", drawn)[0])
    assert (" data-wide" in drawn) == wide == (least > PHONE_PIXELS)


def test_rows_of_shares_are_named_as_they_are():
    drawn = draw("a", "t", "d", lambda figure: share_rows(figure, "top-1", ["$x$", "b"]))
    assert ">$x$<" in drawn


def test_a_cloud_of_points_says_its_style_once_and_no_text_is_rounded():
    def paint(figure):
        axes = plain_axes(figure)
        axes.plot(np.arange(500) / 7, np.arange(500) / 3, "o", color=BLUE, alpha=0.6)
        axes.set_title("rate 0.00012 or 0.34567", parse_math=False)

    drawn = draw("cloud", "Cloud", "Points.", paint)
    assert drawn.count("<use ") >= 500
    assert len(drawn) < 75 * 500 + 20_000
    assert "fill: var(--blue); fill-opacity: 0.6" in drawn
    assert "rate 0.00012 or 0.34567" in drawn
    ElementTree.fromstring(drawn.replace(" data-wide", ""))
