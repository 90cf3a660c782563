from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.cache.decoding import BATCHES_AHEAD, ImageSource, decoder, image_batches
from cars_bench.data.images import load_image
from cars_bench.data.policies import NAMED
from cars_bench.errors import InputError


@pytest.fixture
def source(tiny_dataset) -> ImageSource:
    return ImageSource(dataset=tiny_dataset, image_size=32, policy=NAMED["default"], seed=0)


def test_batches_come_in_order_and_only_the_last_is_smaller(source):
    records = source.records["train"]
    with decoder(source, threads=3) as threads:
        batches = list(threads.pixels(image_batches(records, 0, 8)))
    assert [len(pixels) for _, pixels in batches] == [8, 8, 8, 8, 4]
    assert [item for batch, _ in batches for item in batch.records] == records
    np.testing.assert_array_equal(batches[1][1][0], load_image(records[8].path, 32))


def test_a_view_does_not_depend_on_its_batch(source):
    records = source.records["train"]
    with decoder(source) as threads:
        whole = np.concatenate([x for _, x in threads.pixels(image_batches(records, 2, 8))])
        back = np.concatenate([x for _, x in threads.pixels(image_batches(records[::-1], 2, 5))])
    np.testing.assert_array_equal(whole, back[::-1])


def test_decoding_never_runs_far_ahead(source, monkeypatch):
    decoded = threading.Semaphore(0)
    count = [0]
    plain = ImageSource.pixels

    def counting(self, record, view):
        count[0] += 1
        decoded.release()
        return plain(self, record, view)

    monkeypatch.setattr(ImageSource, "pixels", counting)
    with decoder(source) as threads:
        stream = threads.pixels(image_batches(source.records["train"], 0, 2))
        next(stream)
        assert count[0] <= 2 * (BATCHES_AHEAD + 1)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_an_image_that_changed_since_prepare_is_named(source, tmp_path, damage):
    record = source.records["train"][0]
    moved = tmp_path / "other.png"
    if damage == "changed":
        moved.write_bytes(Path(record.path).read_bytes() + b"x")
    changed = replace(record, path=moved)
    with pytest.raises(InputError, match=r"other\.png"):
        source.pixels(changed, 0)
