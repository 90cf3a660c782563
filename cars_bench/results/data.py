"""A prepared dataset, and the frozen backbone's features of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from cars_bench.cache.options import ExtractResult
from cars_bench.cache.store import FeatureCache, Features
from cars_bench.data.card import Card, card_lines
from cars_bench.data.dataset import SPLITS, Dataset, Split
from cars_bench.errors import UsageError
from cars_bench.panels import panel
from cars_bench.progress import plural, size

View = int | Literal["all"]


@dataclass(frozen=True, repr=False)
class DatasetResult:
    """A prepared dataset.

    Attributes:
        dataset: Its table, its card and its class names.
    """

    dataset: Dataset

    @property
    def card(self) -> Card:
        """What a person should know about it: counts, split, sizes, what was put aside."""
        return self.dataset.card

    @property
    def table(self) -> pd.DataFrame:
        """One row an image: image_id, path, class_name, label, split, box, size."""
        return self.dataset.table

    def counts(self) -> pd.DataFrame:
        """Images of each class (a row) in `train`, `val` and `test` (the columns)."""
        return pd.DataFrame.from_dict(self.dataset.counts(), orient="index", columns=list(SPLITS))

    def __repr__(self) -> str:
        return "\n".join(card_lines(self.dataset.name, self.card))

    def _repr_html_(self) -> str:
        title, *lines = card_lines(self.dataset.name, self.card)
        return panel(title, lines)


@dataclass(frozen=True, repr=False)
class CacheResult:
    """The frozen backbone's features of every image.

    Attributes:
        cache: The cache on disk.
        extraction: What the pass came to; `None` of a cache that was only opened.
    """

    cache: FeatureCache
    extraction: ExtractResult | None = None

    def features(self, split: Split, view: View = 0) -> Features:
        """One split in memory: `.x`, `.labels` (int64 `[N]`) and `.image_ids`.

        Args:
            split: `train`, `val` or `test`.
            view: A view (0 is the plain image) gives `.x` `[N, *shape]`; `"all"`
                `[N, V, *shape]`, of the dtype that is stored.

        Raises:
            CacheCorrupt: A shard is not what the manifest promises.
            UsageError: There is no such view.
        """
        views = self._views(split, view)
        found = self.cache.load(split, max(views) + 1)
        x = found.x[:] if view == "all" else found.x[:, views[0]]
        return Features(found.image_ids, found.labels, x)

    def dataset(self, split: Split, view: View = 0) -> Any:
        """One split as `tf.data.Dataset` of (feature `[*shape]`, label), in bounded memory.

        Args:
            split: `train`, `val` or `test`.
            view: As of `features`; `"all"` gives one view after the other, the images of
                each in the order of their ids.

        Raises:
            UsageError: There is no such view.
        """
        from cars_bench.cache.tensors import tensors

        return tensors(self.cache, split, self._views(split, view))

    def _views(self, split: Split, view: View) -> tuple[int, ...]:
        if split not in SPLITS:
            raise UsageError(f"There is no split {split!r}.", f"one of {', '.join(SPLITS)}")
        stored = self.cache.manifest.views(split)
        if view == "all":
            return tuple(range(stored))
        if view not in range(stored):
            raise UsageError(
                f"The cache {self.cache.key} holds {plural(stored, 'view')} of {split}, "
                f"and no view {view!r}.",
                f'view=0 to {stored - 1}, or view="all"' if stored > 1 else "view=0",
            )
        return (int(view),)

    def _lines(self) -> list[str]:
        manifest = self.cache.manifest
        recipe = self.cache.recipe
        counts = ", ".join(
            f"{manifest.images(split):,} {split} ({plural(manifest.views(split), 'view')})"
            for split in SPLITS
        )
        lines = [
            f"{recipe.backbone}, {recipe.image_size} pixels, of dataset {manifest.dataset}",
            f"{counts}; each {' x '.join(map(str, manifest.shape))} {recipe.dtype}",
            f"computed by {recipe.runtime} in {recipe.precision}",
        ]
        done = self.extraction
        if done:
            lines.append(f"{done.records:,} records, {size(done.bytes)}; {done.written:,} new")
        return lines

    def __repr__(self) -> str:
        return "\n".join([f"cache {self.cache.key}", *self._lines()])

    def _repr_html_(self) -> str:
        return panel(f"cache {self.cache.key}", self._lines())
