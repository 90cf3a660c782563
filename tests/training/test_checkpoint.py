"""A training on disk is the training that was, or it is refused."""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "damaged" in refused(path).message


@pytest.mark.parametrize(
    "edit",
    [
        {"best_epoch": 3},
        {"best_epoch": 0},
        {"best": -1},
        {"best": 4},
        {"current": -1},
        {"current": 10**12},
        {"history": [{}]},
    ],
)
def test_what_a_checkpoint_says_of_itself_must_be_possible(path, edit):
    rewrite(path, edit)
    assert isinstance(refused(path), RecordDamaged)


def rewrite(path, edit, **options):
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | edit))
    options.get("save", np.savez)(path, **arrays)


def test_a_compressed_one_is_refused_before_it_fills_the_memory(path):
    rewrite(path, {}, save=np.savez_compressed)
    assert "compressed" in refused(path).message


def claims_a_terabyte(data):
    return data.replace(b"(2, 2), }" + 15 * b" ", b"(99999999999999999,), }".ljust(24))


def is_encrypted(data):
    return data.replace(b"PK\x01\x02\x2d\x03\x2d\x00\x00", b"PK\x01\x02\x2d\x03\x2d\x00\x01")


@pytest.mark.parametrize("harm", [claims_a_terabyte, is_encrypted])
def test_a_zip_that_lies_about_itself_is_refused(path, harm):
    data = path.read_bytes()
    assert harm(data) != data
    path.write_bytes(harm(data))
    assert isinstance(refused(path), RecordDamaged)
    assert finished_epochs(path) in (0, 2)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_befalls_its_bytes_it_comes_back_whole_or_is_refused(path, data):
    write_checkpoint(path, state(), IDENTITY)
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(good)
    with contextlib.suppress(RecordDamaged):
        read = read_checkpoint(path, IDENTITY)
        assert read.history == state().history
        for one, other in zip(
            read.best + read.current, state().best + state().current, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    finished_epochs(path)


def test_an_entry_that_points_out_of_its_folder_writes_nothing(path):
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("../../escaped.npy", b"x")
    assert read_checkpoint(path, IDENTITY).history == state().history
    assert not list(path.parents[2].rglob("escaped*"))


@pytest.mark.parametrize("shape", ["))", "(", "(1,", "'", "(-1,)", "1/0", "(10**30,)"])
def test_an_array_whose_header_is_no_header_is_refused(tmp_path, shape):
    path = tmp_path / "checkpoint.npz"
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("about.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(RecordDamaged, match="damaged"):
        read_checkpoint(path, IDENTITY)
    assert finished_epochs(path) == 0


def test_a_history_comes_back_from_its_table(tmp_path):
    rows = (epoch(1, None), epoch(2, 1 / 3))
    write_history(tmp_path / "history.csv", rows)
    assert read_history(tmp_path / "history.csv") == rows
    assert read_history(tmp_path / "none.csv") == ()
    first = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert first == "epoch,train_loss,val_loss,val_top1,learning_rate,seconds,val_iou"


@pytest.mark.parametrize("text", ["epoch\n1\n", "a,b\n1,2\n", "epoch,train_loss\n1,x\n"])
def test_a_damaged_history_is_refused(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(RecordDamaged, match="damaged"):
        read_history(path)
