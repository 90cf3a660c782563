"""Scanning: every file gives a result, in order."""

from __future__ import annotations

import hashlib

from cars_bench.data.problems import scan_image, scan_images
from cars_bench.progress import Progress


def test_results_come_in_order_with_digests(tiny_source):
    paths = sorted((tiny_source / "images").iterdir())
    found = scan_images(paths, Progress())
    assert [item.sha256 for item in found] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert {(item.width, item.height, item.problem) for item in found} == {(48, 48, "")}


def test_what_cannot_be_read_is_a_result(tmp_path):
    page = tmp_path / "page.jpg"
    page.write_text("<html>")
    assert scan_image(page).is_page
    assert scan_image(tmp_path).problem.startswith("it cannot be read")
    assert scan_image(tmp_path / "none.jpg").problem.startswith("it cannot be read")
