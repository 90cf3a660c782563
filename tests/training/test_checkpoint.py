"""A training on disk is the training that was, or it is refused."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.errors import CarsBenchError, RecordDamaged
from cars_bench.training.checkpoint import (
    EpochResult,
    TrainingState,
    finished_epochs,
    read_checkpoint,
    read_history,
    write_checkpoint,
    write_history,
)

IDENTITY = {"head": {"layers": []}, "seed": 3}


def epoch(number: int, val_top1: float | None) -> EpochResult:
    return EpochResult(
        epoch=number,
        train_loss=1.5 / number,
        val_loss=None if val_top1 is None else 1.25,
        val_top1=val_top1,
        learning_rate=0.1,
        seconds=2.0,
    )


def state() -> TrainingState:
    current = [np.arange(3.0), np.array(7), np.ones((2, 2), np.float32)]
    return TrainingState([epoch(1, None), epoch(2, 0.5)], 2, current[:1], current)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "running" / "t0001.npz"
    write_checkpoint(path, state(), IDENTITY)
    return path


def test_it_comes_back_whole(path):
    read = read_checkpoint(path, IDENTITY)
    assert (read.history, read.best_epoch) == (state().history, 2)
    assert finished_epochs(path) == 2
    for name in ("best", "current"):
        for one, other in zip(getattr(read, name), getattr(state(), name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_there_need_not_be_one(tmp_path):
    assert read_checkpoint(tmp_path / "none.npz", IDENTITY) is None
    assert finished_epochs(tmp_path / "none.npz") == 0


def refused(path, identity=IDENTITY) -> CarsBenchError:
    with pytest.raises(CarsBenchError) as caught:
        read_checkpoint(path, identity)
    assert str(path) in caught.value.message
    assert caught.value.fix == f"delete {path} and run again, from the first epoch"
    return caught.value


@pytest.mark.parametrize("identity", [{"head": {"layers": []}, "seed": 4}, {}])
def test_that_of_another_training_is_refused(path, identity):
    assert "another training" in refused(path, identity).message


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_anywhere_it_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "damaged" in refused(path).message
    assert finished_epochs(path) == 0


def test_a_changed_byte_in_an_array_is_found(path):
    data = bytearray(path.read_bytes())
    data[data.rfind(np.ones((2, 2), np.float32).tobytes())] ^= 1
    path.write_bytes(data)
    assert "damaged" in refused(path).message


@pytest.mark.parametrize("lost", ["best0", "current2", "about"])
def test_a_lost_array_is_found(path, lost):
    with np.load(path) as stored:
        kept = {name: value for name, value in stored.items() if name != lost}
    np.savez(path, **kept)
    assert "damaged" in refused(path).message


def test_something_else_is_refused(path):
    np.savez(path, about=np.array('{"identity": 3}'))
    assert "damaged" in refused(path).message


def test_a_history_comes_back_from_its_table(tmp_path):
    rows = (epoch(1, None), epoch(2, 1 / 3))
    write_history(tmp_path / "history.csv", rows)
    assert read_history(tmp_path / "history.csv") == rows
    assert read_history(tmp_path / "none.csv") == ()
    first = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert first == "epoch,train_loss,val_loss,val_top1,learning_rate,seconds"


@pytest.mark.parametrize("text", ["epoch\n1\n", "a,b\n1,2\n", "epoch,train_loss\n1,x\n"])
def test_a_damaged_history_is_refused(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(RecordDamaged, match="damaged"):
        read_history(path)
