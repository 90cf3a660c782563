"""Fine-tuning recipes: YAML files of everything a run can vary."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from cars_bench.documents import from_json
from cars_bench.errors import UsageError
from cars_bench.training.specs import TrainingSpec

DEFAULT = "default"


@dataclass(frozen=True)
class Recipe:
    """How a head is finished.

    Attributes:
        unfreeze: As `--unfreeze`; `default` is the backbone's own top block.
        augment: Policy of the views above 0, by name or path.
        views: Cached views of each training image, the plain one included;
            `live` training, which never shows the same view twice, ignores it.
        live: Run the whole network on freshly decoded and augmented images.
        training: Of the unfrozen part and the head.
    """

    unfreeze: str = DEFAULT
    augment: str = "default"
    views: int = 3
    live: bool = False
    training: TrainingSpec = field(default_factory=TrainingSpec)

    def __post_init__(self) -> None:
        if self.views < 1:
            raise UsageError(f"views must be at least 1, got {self.views}.", "raise it")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("cars_bench.finetune") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_recipe(name_or_path: str | Path = DEFAULT) -> Recipe:
    """Read a shipped recipe by name, or a YAML file.

    Raises:
        UsageError: The file is missing, is not YAML or has a wrong field.
    """
    text = _text(str(name_or_path))
    try:
        document: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"The recipe {name_or_path} is not YAML: {error}.", "mend it") from error
    if not isinstance(document, dict):
        raise UsageError(f"The recipe {name_or_path} is not a mapping.", "see the shipped recipes")
    return from_json(Recipe, document)


def _text(name_or_path: str) -> str:
    if name_or_path in shipped_recipes():
        folder = resources.files("cars_bench.finetune") / "recipes"
        return (folder / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"There is no recipe {name_or_path!r}.",
            f"give a YAML file, or one of {', '.join(shipped_recipes())}",
        )
    return path.read_text(encoding="utf-8")
