"""Tensors of a legacy PyTorch file as numpy arrays, without PyTorch and without running code.

The format before PyTorch 1.6 is four pickles in a row (magic number, protocol,
system, state dictionary), a fifth with the keys of the storages, then the raw
storages in that order: a little-endian int64 count, then the elements.  A
pickle can call anything it names; here it can name four harmless things.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
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
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise NotTensors(f"unknown kind of reference {kind!r}")
        return _Storage(str(key), dtype, int(count))


def _rebuild(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


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
        with path.open("rb") as stream:
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
    ) as error:
        raise NotTensors(f"it cannot be read as tensors ({error})") from error


def _read(stream: IO[bytes]) -> dict[str, np.ndarray]:
    if _load(stream) != MAGIC:
        raise NotTensors("it does not begin like a legacy PyTorch file")
    _load(stream)
    if not _load(stream)["little_endian"]:
        raise NotTensors("it was written on a big-endian machine")
    state = _load(stream)
    tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {str(key): _raw(stream, wanted[str(key)]) for key in _load(stream)}
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _load(stream: IO[bytes]) -> Any:
    return _TensorUnpickler(stream).load()


def _raw(stream: IO[bytes], storage: _Storage) -> np.ndarray:
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
