"""A finished model, opened again: rebuilt by code, its weights checked by digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from cars_bench.backbones.build import build_backbone
from cars_bench.documents import from_json
from cars_bench.errors import CarsBenchError, ModelMissing
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.plan import RUN_FILE
from cars_bench.finetune.record import WEIGHTS_FILE
from cars_bench.training.heads import build_head
from cars_bench.training.specs import HeadSpec
from cars_bench.workspace import Workspace, sha256_file

FINETUNE = "cars-bench finetune --best"


@dataclass(frozen=True)
class FinishedModel:
    """A fine-tuned model on disk.

    Attributes:
        folder: `tuning/STUDY/final/RUN`.
        document: Its `run.json`.
    """

    folder: Path
    document: dict[str, Any]

    @classmethod
    def open(cls, workspace: Workspace, model: str | None = None) -> FinishedModel:
        """Open `STUDY/RUN`, or a run's folder; by default the last one made.

        Raises:
            ModelMissing: There is none.
        """
        folder = _folder(workspace, model)
        path = folder / RUN_FILE
        if not path.is_file():
            raise ModelMissing(f"There is no finished model in {folder}.", FINETUNE)
        return cls(folder, json.loads(path.read_text(encoding="utf-8")))

    @property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        return list(self.document["class_names"])

    @property
    def image_size(self) -> int:
        """Side of its input in pixels."""
        return int(self.document["backbone"]["image_size"])

    @property
    def crop(self) -> str:
        """What its images were cut to: `boxes`, or `none`, also where an older run does not say."""
        return str(self.document["dataset"].get("crop", "none"))

    def load(self) -> keras.Model:
        """From pixels float32 `[B, S, S, 3]`, 0 to 255, to logits `[B, C]`.

        Raises:
            CarsBenchError: As `assembled`.
        """
        return self.assembled().whole()

    def assembled(self) -> Assembled:
        """Backbone and head with the finished weights.

        Raises:
            CarsBenchError: The weights file is not the one that was written.
        """
        weights = self.folder / WEIGHTS_FILE
        if not weights.is_file() or sha256_file(weights) != self.document["sha256"][WEIGHTS_FILE]:
            raise CarsBenchError(
                f"{weights} is missing or damaged: its digest is not the recorded one.", FINETUNE
            )
        backbone = self.document["backbone"]
        head = build_head(
            from_json(HeadSpec, self.document["head"]),
            int(self.document["width"]),
            len(self.class_names),
        )
        network = build_backbone(backbone["name"], "none", self.image_size)
        assembled = Assembled(network, backbone["pooling"], head)
        assembled.whole().load_weights(weights)
        return assembled


def _folder(workspace: Workspace, model: str | None) -> Path:
    if model is None:
        last = workspace.settings().get("model", {})
        if not last:
            raise ModelMissing("Nothing has been fine-tuned here yet.", FINETUNE)
        return workspace.studies / str(last["study"]) / "final" / str(last["run"])
    if Path(model).is_dir():
        return Path(model)
    study, _, run = model.partition("/")
    return workspace.studies / study / "final" / run
