"""Augmentation policies: how far a view may stray from the plain image."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cars_bench.documents import from_yaml, text_of, within
from cars_bench.errors import UsageError


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

    name: str = ""
    _: KW_ONLY
    flip: bool = False
    scale_min: float = 1.0
    rotation_degrees: float = 0.0
    translation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        """Check every range; raises `FieldError`."""
        within("scale_min", self.scale_min, 0.1, 1.0)
        within("rotation_degrees", self.rotation_degrees, 0.0, 180.0)
        within("translation", self.translation, 0.0, 0.5)
        within("brightness", self.brightness, 0.0, 0.9)
        within("contrast", self.contrast, 0.0, 0.9)

    @classmethod
    def recorded(cls, name: str, text: str) -> Policy:
        """The policy that a recipe or a plan recorded as JSON, under the name `name`."""
        return cls(name=name, **json.loads(text))

    def describe(self) -> str:
        """Its ranges in words: `mirrored half of the time; turned by up to 9°`."""
        parts = (
            (self.flip, "mirrored half of the time"),
            (self.scale_min < 1, f"cut to {self.scale_min:.3g} of the side or more"),
            (self.rotation_degrees, f"turned by up to {self.rotation_degrees:g}°"),
            (self.translation, f"shifted by up to {self.translation:.3g} of the side"),
            (self.brightness, f"brightness changed by up to {self.brightness:.3g} of itself"),
            (self.contrast, f"contrast changed by up to {self.contrast:.3g} of itself"),
        )
        return "; ".join(words for used, words in parts if used) or "unchanged"

    def to_json(self) -> dict[str, Any]:
        """Everything that changes a pixel, which leaves out the name."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


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
        UsageError: Neither a known name nor a file, or a bad file; names its line and field.
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
    found = from_yaml(Policy, text_of(path), text)
    return found if found.name else replace(found, name=path.stem)
