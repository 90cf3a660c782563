"""The page of a report for tests of its words: figures are laid out by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from matplotlib.figure import Figure

from cars_bench.reports import importance, svg
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.page import report_page
from cars_bench.reports.report import gather

BLANK = '<svg viewBox="0 0 400 200"></svg>'


class Undrawn(Figure):
    """Takes all that is painted on it, and is an empty picture."""

    def savefig(self, fname: Any, **_: Any) -> None:
        fname.write(BLANK)


@contextmanager
def sketched() -> Iterator[None]:
    """Figures are empty, and the importance of hyperparameters is that of a few resamples."""
    with mock.patch.object(svg, "Figure", Undrawn), mock.patch.object(importance, "RESAMPLES", 4):
        yield


def page_of(inputs: Inputs) -> str:
    """Every word of the page."""
    with sketched():
        return report_page(gather(inputs), inputs)
