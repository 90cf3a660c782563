"""A position on disk is the position that was."""

from __future__ import annotations

import numpy as np

from cars_bench.training.loop import Epoch, Position
from cars_bench.tuning.checkpoint import read_position, write_position

IDENTITY = {"head": {"layers": []}, "seed": 3}


def position() -> Position:
    rows = [Epoch(1, 1.5, None, None, 0.1, 2.0), Epoch(2, 1.0, 0.9, 0.5, 0.05, 2.0)]
    current = [np.arange(3.0), np.array(7), np.ones((2, 2), np.float32)]
    return Position(rows, 2, current[:1], current)


def test_it_comes_back_whole(tmp_path):
    write_position(tmp_path / "p.npz", position(), IDENTITY)
    read = read_position(tmp_path / "p.npz", IDENTITY)
    assert (read.history, read.best_epoch) == (position().history, 2)
    for one, other in zip(read.current, position().current, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_that_of_another_training_is_not_used(tmp_path):
    write_position(tmp_path / "p.npz", position(), IDENTITY)
    assert read_position(tmp_path / "p.npz", IDENTITY | {"seed": 4}) is None


def test_there_need_not_be_one(tmp_path):
    assert read_position(tmp_path / "p.npz", IDENTITY) is None
