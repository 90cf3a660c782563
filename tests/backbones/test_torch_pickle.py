"""Reading legacy PyTorch files: values survive, code never runs, damage is refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cars_bench.backbones.torch_pickle import MAGIC, NotTensors, UnsafePickle, read_tensors

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


class Global:
    """Pickles as a bare reference to MODULE.NAME, which need not be importable."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Reference:
    """Pickles as PyTorch's reference to a storage."""

    def __init__(self, key, kind, count):
        self.pid = ("storage", Global("torch", kind), key, "cpu", count, None)


class Tensor:
    """Pickles as the call of `_rebuild_tensor_v2`."""

    def __init__(self, reference, offset, shape, strides):
        self.arguments = (reference, offset, shape, strides, False, OrderedDict())


class LegacyPickler(pickle._Pickler):
    """Writes what PyTorch wrote, without PyTorch."""

    def persistent_id(self, item):
        return item.pid if isinstance(item, Reference) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Tensor):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def dumped(item):
    stream = io.BytesIO()
    LegacyPickler(stream, protocol=2).dump(item)
    return stream.getvalue()


def legacy_bytes(state, storages, magic=MAGIC, system=SYSTEM):
    parts = [dumped(part) for part in (magic, 1001, system, state, list(storages))]
    raw = [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    return b"".join(parts + raw)


def one_tensor(array, shape=None, strides=None, offset=0, kind="FloatStorage", count=None):
    shape = array.shape if shape is None else shape
    strides = tuple(s // array.itemsize for s in array.strides) if strides is None else strides
    reference = Reference("7", kind, array.size if count is None else count)
    state = OrderedDict(w=Tensor(reference, offset, shape, strides))
    return legacy_bytes(state, {"7": array})


@pytest.fixture
def read(tmp_path):
    def reader(data):
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return read_tensors(path)

    return reader


@settings(deadline=None)  # it waits for the disk
@given(
    array=hnp.arrays(
        np.float32, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats(width=32)
    )
)
def test_tensors_come_back_equal(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("pth") / "weights.pth"
    path.write_bytes(one_tensor(array))
    np.testing.assert_array_equal(read_tensors(path)["w"], array)


def test_strides_and_offsets_are_honoured(read):
    array = np.arange(7, dtype=np.float32)
    found = read(one_tensor(array, shape=(2, 3), strides=(1, 2), offset=1))["w"]
    np.testing.assert_array_equal(found, [[1, 3, 5], [2, 4, 6]])


def test_counters_are_int64(read):
    found = read(one_tensor(np.array([3], np.int64), shape=(), strides=(), kind="LongStorage"))
    assert found["w"].dtype == np.int64
    assert found["w"] == 3


@pytest.mark.parametrize(
    ("module", "name"),
    [("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")],
)
def test_anything_else_that_is_named_is_refused(read, module, name):
    with pytest.raises(UnsafePickle, match=name):
        read(legacy_bytes(OrderedDict(w=Global(module, name)), {}))


@pytest.mark.parametrize("position", range(5))
def test_a_canary_in_any_of_the_pickles_is_not_executed(read, tmp_path, position):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    parts = [dumped(part) for part in (MAGIC, 1001, SYSTEM, OrderedDict(), [])]
    parts[position] = pickle.dumps(Bomb(), 2)
    with pytest.raises(UnsafePickle):
        read(b"".join(parts))
    assert not canary.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 4},
        {"offset": -1},
        {"strides": (4, 4)},
        {"strides": (-1, 1)},
        {"shape": (2, -2)},
        {"strides": (1,)},
        {"count": 5},
        {"count": -1},
    ],
)
def test_a_tensor_outside_its_storage_is_refused(read, changes):
    with pytest.raises(NotTensors):
        read(one_tensor(np.zeros((2, 2), np.float32), **changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>no such file</html>",
        b"PK\x03\x04 a zip",
        legacy_bytes(OrderedDict(), {}, magic=1),
        legacy_bytes(OrderedDict(), {}, system={"little_endian": False}),
        legacy_bytes(OrderedDict(), {}, system=None),
        legacy_bytes([1, 2], {}),
        legacy_bytes(OrderedDict(), {"unknown": np.zeros(1, np.float32)}),
    ],
)
def test_other_files_are_refused_in_one_sentence(read, data):
    with pytest.raises(NotTensors):
        read(data)


def test_a_cut_file_is_refused_wherever_it_is_cut(read):
    data = one_tensor(np.arange(6, dtype=np.float32))
    for length in range(len(data)):
        with pytest.raises(NotTensors):
            read(data[:length])


PROTO = b"\x80\x02"
DOUBLED = (
    PROTO + b"(K\x01K\x01\x86q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (PROTO + b"K\x01r\xff\xff\xff\x7f.", "larger memo"),
        (PROTO + b"X\xff\xff\xff\x7fabc.", "cut"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "cut|other"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "cut|other"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "cut|other"),
        (PROTO + b"\x8b\xff\xff\xff\x7fabc.", "cut"),
        (PROTO + b"X\x00\x00\x10\x00" + b"a" * (1 << 20) + b".", "longer text"),
        (PROTO + b"K\x01" + b"\x85" * 60_000 + b".", "more steps"),
        (PROTO + b"}K\x01" + b"2\x86" * 60 + b"K\x01s.", "others"),
        (DOUBLED + b".", "repeats"),
        (b"I" + b"9" * 100_000 + b"\n.", "."),
    ],
)
@pytest.mark.parametrize("position", [0, 3])
def test_what_would_take_all_memory_or_time_is_refused(read, pickled, reason, position):
    parts = [dumped(part) for part in (MAGIC, 1001, SYSTEM, OrderedDict(), [])]
    parts[position] = pickled
    with pytest.raises(NotTensors, match=reason):
        read(b"".join(parts))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": (1 << 20, 1 << 19), "strides": (0, 0)}, "larger than"),
        ({"shape": (1 << 50, 1), "strides": (0, 0)}, "too large"),
        ({"shape": (2.0, 2), "strides": (1, 1)}, "no whole number"),
        ({"count": 1 << 39}, "does not hold"),
    ],
)
def test_a_tensor_is_no_larger_than_its_file(read, changes, reason):
    with pytest.raises(NotTensors, match=reason):
        read(one_tensor(np.zeros((2, 2), np.float32), **changes))


def test_a_storage_larger_than_the_file_is_not_asked_for(read):
    data = one_tensor(np.zeros(4, np.float32), count=1 << 39)
    lying = data.replace(struct.pack("<q", 4), struct.pack("<q", 1 << 39))
    with pytest.raises(NotTensors, match="cut"):
        read(lying)
