"""CSV tables: any text survives, and no cell of text is a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cars_bench.tables import FORMULA, table_rows, table_text, write_table

NAMES = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("'=+-@\t\r\n\",\\\0"), max_size=12
)
ROWS = st.lists(st.lists(NAMES, min_size=2, max_size=2), max_size=4)


@given(rows=ROWS)
@example(rows=[["a\rb", ""], ["\r\n", '"'], ["'=1", "''-"], ["'", "' ="], ["", ""]])
def test_any_text_survives(rows):
    assert [*table_rows(table_text(["a", "b"], rows))] == [["a", "b"], *rows]


@given(rows=ROWS)
def test_no_cell_of_text_is_a_formula(rows):
    cells = csv.reader(io.StringIO(table_text(["a", "b"], rows), newline=""))
    assert not any(cell.startswith(tuple("=+-@\t\r")) for row in cells for cell in row)


def test_only_what_a_spreadsheet_would_run_is_changed(tmp_path):
    row = ["=1+1", "-2", -2, 0.5, True, None, "a=b", "'x", "'=x"]
    write_table(tmp_path / "t.csv", list("abcdefghi"), [row])
    said = "a,b,c,d,e,f,g,h,i\n'=1+1,'-2,-2,0.5,True,,a=b,'x,''=x\n"
    assert (tmp_path / "t.csv").read_text() == said
    assert FORMULA.match("''@")


@pytest.mark.parametrize("text", ['a,b\n"x"y,z\n', 'a,b\n"x'])
def test_what_is_no_table_is_said(text):
    with pytest.raises(ValueError, match=r"expected|unexpected"):
        [*table_rows(text)]
