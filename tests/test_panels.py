"""Panels: escaped, without scripts, in the page's own colours."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from cars_bench.panels import panel
from cars_bench.progress import printable

TAGS = {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text(), st.text())
def test_whatever_a_text_holds_is_shown_and_never_run(title, line, cell):
    reader = Reader()
    reader.feed(panel(title, [line], [("head",), (cell,)]))
    reader.close()
    assert reader.tags <= TAGS
    assert reader.text == "".join([printable(title), printable(line), "head", printable(cell)])


def test_a_text_cannot_turn_the_direction_of_what_follows():
    assert "\u202e" not in panel("\u202eabc")


def test_no_colour_hides_on_a_light_or_a_dark_page():
    shown = panel("title", ["line"], [("head",), ("cell",)])
    assert "color:" not in shown
    assert "background" not in shown
