"""The dataset's card: what a person should know about it at a glance."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import PIL

from cars_bench import __version__
from cars_bench.data.dataset import SPLITS
from cars_bench.data.problems import Problems

QUANTILES = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def make_card(
    table: pd.DataFrame,
    problems: Problems,
    source: dict[str, Any],
    split: dict[str, Any],
    crop: str,
) -> dict[str, Any]:
    """Count what the table holds.

    Args:
        table: The dataset's table.
        problems: What was found wrong.
        source: Where labels and images came from.
        split: How the split was made.
        crop: `none` or `boxes`.

    Returns:
        A JSON document.
    """
    splits = table["split"].value_counts()
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "source": source,
        "crop": crop,
        "images": len(table),
        "classes": int(table["class_name"].nunique()),
        "split": split | {"counts": {name: int(splits.get(name, 0)) for name in SPLITS}},
        "class_counts": class_counts(table),
        "sizes": {side: _quantiles(table[side]) for side in ("width", "height")},
        "boxes": int(table["x1"].notna().sum()),
        "missing": {"count": len(problems.missing), "image_ids": problems.missing},
        "quarantined": problems.quarantined,
        "warnings": problems.warnings,
        "versions": {"cars_bench": __version__, "pillow": PIL.__version__},
    }


def class_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images of each class in each split, in the order of the labels."""
    counts = pd.crosstab(table["class_name"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    return {
        str(name): {str(split): int(count) for split, count in row.items()}
        for name, row in counts.sort_index().iterrows()
    }


def card_lines(name: str, card: dict[str, Any]) -> list[str]:
    """The card as a few sentences for a terminal."""
    counts = card["split"]["counts"]
    totals = sorted(sum(row.values()) for row in card["class_counts"].values())
    lines = [
        f"{name}: {card['images']:,} images of {card['classes']:,} classes "
        f"({totals[0]:,} to {totals[-1]:,} a class, median {totals[len(totals) // 2]:,})",
        f"split: {counts['train']:,} train, {counts['val']:,} val, {counts['test']:,} test "
        f"({card['split']['how']})",
        _size_line(card["sizes"]),
        f"boxes: {card['boxes']:,}; crop: {card['crop']}",
    ]
    if card["missing"]["count"]:
        lines.append(f"missing: {card['missing']['count']:,} labelled images have no file")
    lines += _quarantine_lines(card["quarantined"])
    return lines + [f"warning: {text}" for text in card["warnings"]]


def _size_line(sizes: dict[str, dict[str, float]]) -> str:
    width, height = sizes["width"], sizes["height"]
    return (
        f"sizes: median {width['median']:g} x {height['median']:g} pixels; 90% have widths "
        f"{width['p05']:g} to {width['p95']:g} and heights {height['p05']:g} to {height['p95']:g}"
    )


def _quarantine_lines(quarantined: list[dict[str, str]], shown: int = 5) -> list[str]:
    if not quarantined:
        return []
    lines = [f"quarantined: {len(quarantined):,} images that cannot be used (listed in card.json)"]
    lines += [f"  {item['image_id']}: {item['reason']}" for item in quarantined[:shown]]
    rest = len(quarantined) - shown
    return lines + ([f"  and {rest:,} more"] if rest > 0 else [])


def _quantiles(values: pd.Series[Any]) -> dict[str, float]:
    return {name: float(values.quantile(share)) for name, share in QUANTILES.items()}
