"""Matplotlib figures as inline SVG: they follow the page's theme and are the same every time.

Figures are drawn without pyplot (which keeps figures
alive and wants a display).  They are drawn in a few sentinel colours that
become CSS variables, so that light, dark and print need one drawing.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"
MUTED = "#040506"
RULE = "#070809"
PAPER = "#0a0b0c"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
PHONE_WIDTH = 4.8
"""Inches that a phone shows whole, with text that can still be read."""
PHONE_PIXELS = 358
"""Room on a phone; a figure that needs more scrolls, and the page says so."""
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    BLUE: "--blue",
    VERMILLION: "--vermillion",
    GREEN: "--green",
    PURPLE: "--purple",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


Figures = dict[str, Markup]
"""Inline SVG by the names under which templates show it."""


def draw(
    name: str,
    title: str,
    description: str,
    paint: Callable[[Figure], None],
    width: float = 7.6,
    height: float = 3.2,
) -> Markup:
    """Draw one figure as inline SVG.

    Args:
        name: Unique on the page; ids inside the SVG begin with it.
        title: What a screen reader says first.
        description: What the figure shows, in a sentence with its numbers.
        paint: Draws on the figure.
        width: Inches at 72 units each.
        height: The same.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"cars-bench-{name}"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(_inline(stream.getvalue(), name, title, description))


def plain_axes(figure: Figure, xlabel: str = "", ylabel: str = "") -> Axes:
    """One pair of axes with horizontal grid lines only."""
    axes = figure.add_subplot()
    axes.grid(axis="x", visible=False)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return axes


def share_rows(figure: Figure, xlabel: str, names: Sequence[str]) -> Axes:
    """Axes with a named row for each of several shares, the first at the bottom."""
    axes = plain_axes(figure, xlabel)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", labelcolor=INK)
    percent_axis(axes, "x")
    return axes


def percent_axis(axes: Axes, which: str = "y") -> None:
    """Write an axis of shares as percentages."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _inline(svg: str, name: str, title: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = _thin(svg)
    svg = re.sub(r"font: ((?:\w+ )*)([\d.]+)px [^;\"]*", _font, svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    box = re.search(r'viewBox="0 0 ([\d.]+) [^"]+"', svg)
    assert box is not None
    shown_pixels = round(1.4 * float(box.group(1)))
    least_pixels = round(0.62 * shown_pixels)
    wide = " data-wide" if least_pixels > PHONE_PIXELS else ""
    head = (
        f'<svg class="figure"{wide} xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {box.group()} role="img" '
        f'style="max-width:{shown_pixels}px;min-width:{least_pixels}px" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>'
    )
    return re.sub(r"^<svg[^>]*>", lambda _: head, svg).strip()


def _thin(svg: str) -> str:
    """The same picture in fewer bytes: a cloud of points says its style once, not at each point."""
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r' (?:d|x|y)="[^"]*"', _rounded, svg)
    return re.sub(r"<g([^>]*)>((?:<use [^>]*/>){2,})</g>", _cloud, svg)


def _rounded(match: re.Match[str]) -> str:
    """Places to a hundredth of a point, which nobody sees."""
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", match[0])


def _cloud(match: re.Match[str]) -> str:
    """A group of marks, its style at the group where all have the same one."""
    styles = set(re.findall(r' style="[^"]*"', match[2]))
    if len(styles) != 1 or "style=" in match[1]:
        return match[0]
    (style,) = styles
    return f"<g{match[1]}{style}>{match[2].replace(style, '')}</g>"


def _font(match: re.Match[str]) -> str:
    weight = "; font-weight: 600" if "bold" in match.group(1) or "700" in match.group(1) else ""
    return f"font-size: {match.group(2)}px{weight}"
