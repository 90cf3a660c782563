"""Augmentation policies: how far a view may stray from the plain image."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from cars_bench.errors import InputError, UsageError


@dataclass(frozen=True)
class Policy:
    """Ranges that a view's randomness is drawn from; 0, `False` and 1.0 switch a part off.

    Attributes:
        name: What people call it; no part of the cache's key.
        flip: Mirror left and right, half of the time.
        scale_min: Smallest side of the window cut out, as a fraction of the whole, 0.1..1.
        rotation_degrees: Largest turn either way, 0..180.
        translation: Largest shift either way, as a fraction of the side, 0..0.5.
        brightness: Pixels are multiplied by 1 +- this, 0..0.9.
        contrast: Distances from the mean are multiplied by 1 +- this, 0..0.9.
    """

    name: str
    flip: bool = False
    scale_min: float = 1.0
    rotation_degrees: float = 0.0
    translation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Everything that changes a pixel, which leaves out the name."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


RANGES = {
    "scale_min": (0.1, 1.0),
    "rotation_degrees": (0.0, 180.0),
    "translation": (0.0, 0.5),
    "brightness": (0.0, 0.9),
    "contrast": (0.0, 0.9),
}
NAMED = {
    "none": Policy("none"),
    "light": Policy("light", flip=True, scale_min=0.9),
    "default": Policy(
        "default",
        flip=True,
        scale_min=0.75,
        rotation_degrees=9.0,
        translation=0.05,
        brightness=0.2,
        contrast=0.2,
    ),
    "strong": Policy(
        "strong",
        flip=True,
        scale_min=0.6,
        rotation_degrees=12.0,
        translation=0.08,
        brightness=0.35,
        contrast=0.35,
    ),
}


def policy(name_or_path: str | Path) -> Policy:
    """The named policy, or the one in a YAML file with `Policy`'s fields.

    Raises:
        UsageError: Neither a known name nor a file.
        InputError: The file is bad; the message names line and field.
    """
    text = str(name_or_path)
    if text in NAMED:
        return NAMED[text]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(NAMED)
        raise UsageError(
            f"There is no augmentation policy {text!r} (named ones: {known}) and no such file.",
            f"--augment {known.replace(', ', '|')}, or a YAML file",
        )
    return _from_yaml(path)


def _from_yaml(path: Path) -> Policy:
    nodes = _mapping(path)
    values: dict[str, Any] = {}
    for key_node, value_node in nodes:
        field, line = str(key_node.value), key_node.start_mark.line + 1
        if field in values:
            raise _refused(path, line, field, "stands there twice")
        values[field] = _checked(path, line, field, _value(path, line, field, value_node))
    return Policy(**({"name": path.stem} | values))


def _mapping(path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not text"
        raise InputError(f"{path}{where} is not valid YAML: {problem}.", "mend the file") from error
    if not isinstance(node, yaml.MappingNode):
        raise InputError(
            f"{path} line 1 must be `field: value` lines.", f"fields: {', '.join(_known_fields())}"
        )
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    return pairs


def _value(path: Path, line: int, field: str, node: yaml.Node) -> Any:
    try:
        return yaml.safe_load(yaml.serialize(node))
    except yaml.YAMLError as error:
        raise _refused(path, line, field, "has a value of an unknown kind") from error


def _checked(path: Path, line: int, field: str, value: Any) -> Any:
    if field not in _known_fields():
        raise _refused(path, line, field, "is no field of a policy")
    if field == "name":
        return str(value)
    if field == "flip":
        if not isinstance(value, bool):
            raise _refused(path, line, field, f"must be true or false, not {value!r}")
        return value
    low, high = RANGES[field]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise _refused(
            path, line, field, f"must be a number from {low:g} to {high:g}, not {value!r}"
        )
    return float(value)


def _known_fields() -> list[str]:
    return [field.name for field in fields(Policy)]


def _refused(path: Path, line: int, field: str, why: str) -> InputError:
    return InputError(
        f"{path} line {line}: {field} {why}.", f"known fields: {', '.join(_known_fields())}"
    )
