"""Frozen dataclasses as documents: to JSON and back, from YAML, on disk; errors name the field.

The one way in which a record, a spec or an option file becomes text and is read again.
Whoever owns a record on disk reads and writes it with `read_record` and `write_record`;
everyone else is handed the object.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from cars_bench.atomic import write_json
from cars_bench.checksums import check_seal, read_json, sealed, unsealed
from cars_bench.errors import CarsBenchError, RecordDamaged, UsageError, shown
from cars_bench.yaml_text import MOST_CHARACTERS, parse_yaml

T = TypeVar("T")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class FieldError(UsageError):
    """A field of a document is unknown, missing, or of the wrong type or range.

    Attributes:
        place: Names of the fields down to it, such as `("training", "epochs")`; an item of a
            list has its index as text.
    """

    def __init__(self, message: str, fix: str, place: tuple[str, ...] = ()) -> None:
        super().__init__(message, fix)
        self.place = place


def to_json(record: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values: nested ones become mappings, tuples become lists."""
    return {item.name: _plain(getattr(record, item.name)) for item in dataclasses.fields(record)}


def from_json(kind: type[T], document: Any, *, partly: bool = False) -> T:
    """Rebuild a dataclass from plain values; the inverse of `to_json`.

    Args:
        kind: A dataclass of plain values, other such dataclasses, and tuples, lists,
            mappings and unions of them.
        document: A mapping of its fields; those with a default may be missing.
        partly: Fields that `kind` does not have are passed over, at every depth.

    Raises:
        FieldError: An unknown or missing field, or a value of the wrong type or range.
    """
    return typing.cast(T, _record(kind, document, (), partly))


def write_record(path: Path, record: Any) -> None:
    """Write a record with its schema version and its checksum, atomically."""
    write_json(path, sealed(to_json(record)))


def read_record(path: Path, kind: type[T], missing: CarsBenchError, fix: str) -> T:
    """Read what `write_record` wrote.

    Args:
        path: The file.
        kind: The record's dataclass.
        missing: Raised where there is no such file.
        fix: What mends a damaged one.

    Raises:
        RecordDamaged: It is not JSON, not such a record, or not the one that was written.
    """
    try:
        document = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except ValueError as error:
        raise RecordDamaged(f"{path} is not JSON ({error}).", fix) from error
    try:
        record = from_json(kind, unsealed(document))
        check_seal(document)
    except UsageError as error:
        place = error.place if isinstance(error, FieldError) else ()
        where = f"{'.'.join(place)}: " if place[1:] else ""
        raise RecordDamaged(f"{path} is damaged: {where}{error.message}", fix) from error
    except ValueError as error:
        raise RecordDamaged(f"{path} is damaged: {error}.", fix) from error
    return record


def from_yaml(kind: type[T], text: str, source: str) -> T:
    """Rebuild a dataclass from YAML text.

    Raises:
        UsageError: As `parse_yaml` and `from_json`; names file, line and field.
    """
    parsed = parse_yaml(text, source)
    try:
        return from_json(kind, parsed.value)
    except FieldError as error:
        raise parsed.error(error.place, error.message, error.fix) from error


def shipped(package: str, folder: str) -> list[str]:
    """Names of the YAML files that come with a package, in alphabetical order."""
    files = (resources.files(package) / folder).iterdir()
    return sorted(Path(item.name).stem for item in files if item.name.endswith(".yaml"))


def named_text(what: str, name_or_path: str, package: str, folder: str) -> str:
    """Text of a shipped YAML file by name, or of the user's own by path.

    Args:
        what: What it holds, for the message.
        name_or_path: One of `shipped(package, folder)`, or a path.
        package: That comes with some.
        folder: Where in the package.

    Raises:
        UsageError: It is neither, or is not text.
    """
    known = shipped(package, folder)
    if name_or_path in known:
        file = resources.files(package) / folder / f"{name_or_path}.yaml"
        return file.read_text(encoding="utf-8")
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"There is no {what} {name_or_path!r}.",
            f"give a YAML file, or one of {', '.join(known)}",
        )
    return text_of(path)


def text_of(path: Path) -> str:
    """A text file, UTF-8.

    Raises:
        UsageError: It is not text.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(MOST_CHARACTERS + 1)  # more of it are refused
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not valid YAML: it is not text.", "mend the file") from error


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is none of `known`."""
    if value not in known:
        raise _refused(name, f"{shown(value)} is not known", f"choose one of {', '.join(known)}")


def at_least(name: str, value: float, low: float) -> None:
    """Refuse a value below `low`, and what is not finite."""
    _refuse_infinite(name, value)
    if not value >= low:
        raise _refused(name, f"must be at least {low:g}, got {shown(value)}", "raise it")


def above(name: str, value: float, low: float) -> None:
    """Refuse a value that is not above `low`, and what is not finite."""
    _refuse_infinite(name, value)
    if not value > low:
        raise _refused(name, f"must be above {low:g}, got {shown(value)}", "raise it")


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside `low..high`, and NaN."""
    if not low <= value <= high:
        raise _refused(name, f"must be from {low:g} to {high:g}, got {shown(value)}", "change it")


def _refuse_infinite(name: str, value: float) -> None:
    if value == math.inf:
        raise _refused(name, f"must be finite, got {value!r}", "lower it")


def _refused(name: str, problem: str, fix: str) -> FieldError:
    return FieldError(f"{name} {problem}.", fix, tuple(name.split(".")))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value


def _record(kind: Any, document: Any, place: tuple[str, ...], partly: bool) -> Any:
    if not isinstance(document, Mapping):
        name = _name(place) if place else kind.__name__
        raise FieldError(
            f"{name} must be a mapping, got {shown(document)}.", f"see {kind.__name__}", place
        )
    hints = {item.name: hint for item, hint in _fields(kind)}
    unknown = sorted(set(map(str, document)) - set(hints))
    if unknown and not partly:
        raise FieldError(
            f"{kind.__name__} has no field {unknown[0]!r}.",
            f"{meant(unknown[0], hints)}the fields are {', '.join(sorted(hints))}",
            (*place, unknown[0]),
        )
    values = {
        name: _typed(hints[name], value, (*place, name), partly)
        for name, value in document.items()
        if name in hints
    }
    required = (item.name for item, _ in _fields(kind) if _is_required(item))
    lacking = [name for name in required if name not in values]
    if lacking:
        raise FieldError(
            f"{kind.__name__} lacks the field {lacking[0]!r}.", "add the missing field", place
        )
    try:
        return kind(**values)
    except FieldError as error:
        raise FieldError(error.message, error.fix, (*place, error.place[-1])) from error


@functools.cache
def _fields(kind: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(kind)
    return [(item, hints[item.name]) for item in dataclasses.fields(kind) if item.init]


def _is_required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _typed(hint: Any, value: Any, place: tuple[str, ...], partly: bool) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, place, partly)
    if origin in (Union, types.UnionType):
        return _united(hint, value, place, partly)
    if origin in (tuple, list):
        return _sequence(hint, value, place, partly)
    return _mapping(hint, value, place, partly) if origin is dict else _scalar(hint, value, place)


def _mapping(hint: Any, value: Any, place: tuple[str, ...], partly: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(place, "a mapping", value)
    inner = typing.get_args(hint)[1]
    return {
        str(name): _typed(inner, item, (*place, str(name)), partly) for name, item in value.items()
    }


def _united(hint: Any, value: Any, place: tuple[str, ...], partly: bool) -> Any:
    """One of several types; `None` only where it is one of them, else the first that fits."""
    kinds = [item for item in typing.get_args(hint) if item is not types.NoneType]
    if value is None and len(kinds) < len(typing.get_args(hint)):
        return None
    for kind in kinds[:-1]:
        try:
            return _typed(kind, value, place, partly)
        except FieldError:
            continue
    return _typed(kinds[-1], value, place, partly)


def _sequence(hint: Any, value: Any, place: tuple[str, ...], partly: bool) -> Any:
    inner = typing.get_args(hint)
    if not isinstance(value, list | tuple):
        raise FieldError(
            f"{_name(place)} must be a list, got {shown(value)}.", "write it as [a, b]", place
        )
    kinds = inner
    if typing.get_origin(hint) is list or inner[-1] is Ellipsis:
        kinds = (inner[0],) * len(value)
    if len(kinds) != len(value):
        raise _wrong(place, f"a list of {len(kinds)}", value)
    typed = [
        _typed(kind, item, (*place, str(index)), partly)
        for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    ]
    return typed if typing.get_origin(hint) is list else tuple(typed)


def _scalar(hint: Any, value: Any, place: tuple[str, ...]) -> Any:
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            raise _wrong(place, f"one of {', '.join(map(str, typing.get_args(hint)))}", value)
        return value
    wanted = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(place, WORDS[hint], value)
    try:
        return float(value) if hint is float else value
    except OverflowError:
        raise _wrong(place, "a number that fits 64 bits", value) from None


def _wrong(place: tuple[str, ...], wanted: str, value: Any) -> FieldError:
    return FieldError(
        f"{_name(place)} must be {wanted}, got {shown(value)}.", "mend the value", place
    )


def _name(place: tuple[str, ...]) -> str:
    """The last field's name, with its index where it is an item of a list: `layers[0]`."""
    name = place[-1]
    if len(place) > 1 and name.isdecimal():
        return f"{_name(place[:-1])}[{name}]"
    return name


def meant(unknown: str, known: typing.Iterable[str]) -> str:
    """`did you mean NAME? ` where one of `known` is near enough, else nothing."""
    near = difflib.get_close_matches(unknown, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
