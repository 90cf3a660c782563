"""`tf.train.Example` as protobuf writes it, for the one layout the cache uses.

The message is `Features features = 1`, a map whose entries hold a key (field 1)
and a `Feature` (field 2), which is a `BytesList` (field 1) or an `Int64List`
(field 3).  `cache/README.md` gives the layout byte for byte.
"""

from __future__ import annotations

_CONTINUES = 0x80
_LENGTH_DELIMITED = b"\x0a"
_INT64_LIST = b"\x1a"

_IMAGE_ID, _LABEL, _VIEW, _FEATURE = (
    b"\x0a" + bytes([len(name)]) + name + b"\x12"
    for name in (b"image_id", b"label", b"view", b"feature")
)


def encode_example(image_id: str, label: int, view: int, feature: bytes) -> bytes:
    """One serialised `tf.train.Example`, `feature` last.

    Args:
        image_id: Stored as UTF-8.
        label: 0 or more.
        view: 0 or more.
        feature: Raw little-endian numbers.
    """
    entries = (
        _entry(_IMAGE_ID, _bytes_feature(image_id.encode())),
        _entry(_LABEL, _int_feature(label)),
        _entry(_VIEW, _int_feature(view)),
        _entry(_FEATURE, _bytes_feature(feature)),
    )
    return _delimited(_LENGTH_DELIMITED, b"".join(entries))


def parse_example(data: bytes, start: int, end: int) -> tuple[str, int, int, int]:
    """Read the payload data[start:end] without copying its feature.

    Returns:
        image_id, label, view, and where the feature begins in `data`; it ends at `end`.

    Raises:
        ValueError: It is not laid out as `encode_example` does.
        IndexError: Likewise, at the end of `data`.
    """
    position, last = _opened(data, start)
    name_at, name_end = _value(data, position, _IMAGE_ID)
    label_at, label_end = _value(data, name_end, _LABEL)
    view_at, view_end = _value(data, label_end, _VIEW)
    feature_at, feature_end = _value(data, view_end, _FEATURE)
    if not last == feature_end == end:
        raise ValueError("a length does not fit")
    label, _ = _varint(data, label_at)
    view, _ = _varint(data, view_at)
    return data[name_at:name_end].decode(), label, view, feature_at


def _value(data: bytes, position: int, key: bytes) -> tuple[int, int]:
    """Bounds of the one value of the map entry at `position` that is named by `key`."""
    inner, end = _opened(data, position)
    if data[inner : inner + len(key)] != key:
        raise ValueError("a feature is missing")
    feature, feature_end = _length(data, inner + len(key))
    values, values_end = _length(data, feature + 1)
    if key in (_LABEL, _VIEW):
        start = values + 2
        value_end = values_end
    else:
        start, value_end = _length(data, values + 1)
    if not end == feature_end == values_end == value_end:
        raise ValueError("a length does not fit")
    return start, end


def _opened(data: bytes, position: int) -> tuple[int, int]:
    if data[position] != _LENGTH_DELIMITED[0]:
        raise ValueError("a field is missing")
    return _length(data, position + 1)


def _length(data: bytes, position: int) -> tuple[int, int]:
    length, start = _varint(data, position)
    return start, start + length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = data[position]
    position += 1
    if value < _CONTINUES:
        return value, position
    value &= 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            return value, position
        shift += 7


def _entry(key: bytes, feature: bytes) -> bytes:
    return _delimited(_LENGTH_DELIMITED, key + _encoded_varint(len(feature)) + feature)


def _bytes_feature(value: bytes) -> bytes:
    return _delimited(_LENGTH_DELIMITED, _delimited(_LENGTH_DELIMITED, value))


def _int_feature(value: int) -> bytes:
    return _delimited(_INT64_LIST, _delimited(_LENGTH_DELIMITED, _encoded_varint(value)))


def _delimited(tag: bytes, value: bytes) -> bytes:
    return tag + _encoded_varint(len(value)) + value


def _encoded_varint(value: int) -> bytes:
    out = bytearray()
    while value >= _CONTINUES:
        out.append(value & 0x7F | _CONTINUES)
        value >>= 7
    out.append(value)
    return bytes(out)
