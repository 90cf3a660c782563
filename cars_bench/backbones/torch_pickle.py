"""Tensors of a legacy PyTorch file as numpy arrays, without PyTorch and without running code.

The format before PyTorch 1.6 is four pickles in a row (magic number, protocol,
system, state dictionary), a fifth with the keys of the storages, then the raw
storages in that order: a little-endian int64 count, then the elements.  A
pickle can call anything it names; here it can name four harmless things.  It can
also ask for more memory than there is: so each is read through before it is done, and
of the file no more is asked than it holds.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 2
"""Of the pickles that PyTorch wrote."""
MOST_STEPS = 50_000
"""Of one pickle; EfficientNet-Lite0's longest has 10,696."""
LONGEST_TEXT = 1000
LARGEST = 1 << 40
REPEATABLE = ("GLOBAL", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING")
"""Steps whose result may be had again from the memo; what holds others may not, or a few
steps could make more than any memory holds."""
_STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class UnsafePickle(ValueError):
    """The file names something that is not needed to hold tensors."""


class NotTensors(ValueError):
    """The file is not a legacy PyTorch state dictionary, or it is damaged."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TensorUnpickler(pickle.Unpickler):
    """Knows ordered dictionaries, tensors and two kinds of storage; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise UnsafePickle(f"it names {module}.{name}, which holding tensors does not need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, count = pid[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise NotTensors("it refers to something else than a storage")
        return _Storage(key, dtype, _whole(count)[0])


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise NotTensors("a tensor is made of something else than a storage")
    return _Tensor(storage, _whole(offset)[0], _whole(*shape), _whole(*strides))


def _whole(*numbers: Any) -> tuple[int, ...]:
    if not all(isinstance(number, int) and abs(number) < LARGEST for number in numbers):
        raise NotTensors("a size is no whole number, or too large")
    return numbers


class _Bounded(io.BufferedReader):
    """A file of which no more is asked than it holds."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        if size is None or not 0 <= size <= left:
            raise NotTensors("it is cut")
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(LONGEST_TEXT)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read every tensor of a legacy PyTorch state dictionary.

    Args:
        path: A `.pth` file written with the format before PyTorch 1.6.

    Returns:
        Name to array, float32 or int64, in the file's own layout (convolutions OIHW).

    Raises:
        UnsafePickle: The file names a class or function outside the allow-list;
            nothing of it was executed.
        NotTensors: The file is something else, or it is cut or damaged.
    """
    try:
        with _Bounded(path.open("rb", buffering=0)) as stream:
            return _read(stream)
    except (UnsafePickle, NotTensors):
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        raise NotTensors(f"it cannot be read as tensors ({error})") from error


def _read(stream: _Bounded) -> dict[str, np.ndarray]:
    if _load(stream) != MAGIC:
        raise NotTensors("it does not begin like a legacy PyTorch file")
    _load(stream)
    if not _load(stream)["little_endian"]:
        raise NotTensors("it was written on a big-endian machine")
    state = _load(stream)
    tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {key: _raw(stream, wanted[key]) for key in _load(stream)}
    sizes = sum(math.prod(tensor.shape) for tensor in tensors.values())
    if sizes > 2 * sum(raw.size for raw in storages.values()):
        raise NotTensors("its tensors are larger than what they are made of")
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _load(stream: _Bounded) -> Any:
    begin = stream.tell()
    _read_through(stream)
    stream.seek(begin)
    return _TensorUnpickler(stream).load()


def _read_through(stream: _Bounded) -> None:
    """Read a pickle without doing what it says; raise where it would do too much."""
    repeatable: set[Any] = set()
    before = ""
    for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        name = opcode.name
        if step > MOST_STEPS or opcode.proto > PROTOCOL or name == "DUP":
            raise NotTensors("it has more steps, or others, than tensors take")
        if isinstance(argument, str | bytes) and len(argument) > LONGEST_TEXT:
            raise NotTensors("it has a longer text than tensors have")
        if name.endswith("PUT"):
            if (argument or 0) > step:
                raise NotTensors("it asks for a larger memo than it fills")
            (repeatable.add if before in REPEATABLE else repeatable.discard)(argument)
        if name.endswith("GET") and argument not in repeatable:
            raise NotTensors("it repeats what is neither a name nor a text")
        before = name


def _raw(stream: _Bounded, storage: _Storage) -> np.ndarray:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    data = stream.read(storage.count * storage.dtype.itemsize) if count == storage.count else b""
    if len(data) != storage.count * storage.dtype.itemsize:
        raise NotTensors(f"storage {storage.key} does not hold {storage.count} elements")
    return np.frombuffer(data, storage.dtype)


def _array(tensor: _Tensor, raw: np.ndarray) -> np.ndarray:
    """The tensor's elements, copied into C order, after checking that all lie inside `raw`."""
    steps = list(zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or any(size < 0 or stride < 0 for size, stride in steps):
        raise NotTensors(f"a tensor of shape {tensor.shape} has strides {tensor.strides}")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, raw.dtype)
    if tensor.offset + sum((size - 1) * stride for size, stride in steps) >= raw.size:
        raise NotTensors(f"a tensor of shape {tensor.shape} reaches beyond its storage")
    strides = [stride * raw.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(raw[tensor.offset :], tensor.shape, strides).copy()
