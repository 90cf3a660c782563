"""Lines with digests: whatever is changed is noticed, and older lines without are still read."""

from __future__ import annotations

import json

import pytest

from cars_bench.tuning.chain import Chain

OLDER = [b'{"a": 0}', b'{"a": 1}']


def written(count: int, before: list[bytes] = OLDER) -> list[bytes]:
    """Older lines, and so many sealed ones behind them."""
    lines = list(before)
    chain = Chain(b"".join(line + b"\n" for line in lines))
    for number in range(count):
        lines.append(chain.sealed(b'{"b": %d}' % number))
        chain.add(lines[-1])
    return lines


def held(lines: list[bytes]) -> bool:
    chain = Chain()
    for line in lines:
        if not chain.holds(line):
            return False
        chain.add(line)
    return True


def test_lines_are_held_as_they_were_written():
    lines = written(3)
    assert held(lines)
    assert held(OLDER)
    assert [list(json.loads(line)) for line in lines[2:]] == [["b", "digest"]] * 3


@pytest.mark.parametrize("before", [[], OLDER])
def test_a_flip_of_any_bit_is_noticed(before):
    lines = written(3, before)
    for number, line in enumerate(lines):
        for place in range(8 * len(line)):
            flipped = bytearray(line)
            flipped[place // 8] ^= 1 << place % 8
            assert not held([*lines[:number], bytes(flipped), *lines[number + 1 :]])


@pytest.mark.parametrize("order", ["acbd", "abd", "bcd", "abbcd", "acd"])
def test_lines_that_were_dropped_moved_or_doubled_are_noticed(order):
    lines = written(4, [])
    assert not held([lines["abcd".index(name)] for name in order])


def test_no_line_without_a_digest_follows_one_that_has_it():
    lines = written(2)
    assert not held([*lines, b'{"b": 2}'])
