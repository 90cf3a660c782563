"""Cards for tests that need a dataset's card but none of its images."""

from __future__ import annotations

from typing import Any

from cars_bench.data.card import Card, CardSource, MissingImages, Quantiles, Sizes, SplitSummary


def a_card(**changes: Any) -> Card:
    """The card of 60 images of 4 classes, with `changes`."""
    side = Quantiles(min=48.0, p05=48.0, median=48.0, p95=48.0, max=48.0)
    fields = {
        "created": "2026-01-01T00:00:00Z",
        "source": CardSource("labels.csv", "images", "csv"),
        "crop": "none",
        "images": 60,
        "classes": 4,
        "split": SplitSummary("the source's own", 0, {"train": 36, "val": 12, "test": 12}),
        "class_counts": {name: {"train": 9, "val": 3, "test": 3} for name in "abcd"},
        "sizes": Sizes(side, side),
        "boxes": 60,
        "missing": MissingImages(0, ()),
        "quarantined": (),
        "warnings": (),
        "versions": {"cars_bench": "0.1.0", "pillow": "13.0.0"},
        "digest": "d",
    }
    return Card(**fields | changes)
