from __future__ import annotations

import pytest

from cars_bench.reports.words import number_text, plural, size


@pytest.mark.parametrize(
    ("value", "text"), [(1024, "1024"), (1024.0, "1024"), (1e-6, "1e-6"), (0.0, "0"), (0.5, "0.5")]
)
def test_numbers_are_labelled_in_full(value, text):
    assert number_text(value) == text


def test_plural():
    assert (plural(1, "trial"), plural(2000, "trial")) == ("1 trial", "2,000 trials")


@pytest.mark.parametrize(
    ("count", "text"), [(812, "812 B"), (3_400_000, "3.4 MB"), (7e12, "7000.0 GB")]
)
def test_sizes_read_as_people_say_them(count, text):
    assert size(count) == text
