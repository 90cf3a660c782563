"""A finished model, opened again: rebuilt by code, its weights checked by digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from cars_bench.backbones.build import build_backbone
from cars_bench.data.detection import DetectorCrop
from cars_bench.errors import ModelMissing, UsageError, known
from cars_bench.evaluation.calibration import Temperature
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.plan import remembered
from cars_bench.finetune.run_record import RunRecord
from cars_bench.finetune.runs import AGAIN_FROM_START, FINETUNE, Run, run_records
from cars_bench.training.heads import build_head
from cars_bench.tuning.study import study_names
from cars_bench.workspace import Workspace, require_written

WEIGHTS_FILE = "model.weights.h5"


@dataclass(frozen=True)
class FinishedModel:
    """A fine-tuned model on disk.

    Attributes:
        run: The run that made it.
    """

    run: Run

    @classmethod
    def open(cls, workspace: Workspace, model: str | None = None) -> FinishedModel:
        """Open `STUDY/RUN`, or a run's folder; by default the last one made.

        Raises:
            ModelMissing: There is none.
            RecordDamaged: The run's record is not what was written.
        """
        return cls(Run.open(_folder(workspace, model)))

    @property
    def folder(self) -> Path:
        """`tuning/STUDY/final/RUN`."""
        return self.run.folder

    @property
    def record(self) -> RunRecord:
        """Its run's record."""
        return self.run.record

    @property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        return list(self.record.class_names)

    @property
    def image_size(self) -> int:
        """Side of its input in pixels."""
        return self.record.backbone.image_size

    @property
    def crop(self) -> str:
        """What its images were cut to: `none`, `boxes` or `detector`."""
        return self.record.dataset.crop

    @property
    def temperature(self) -> Temperature:
        """What calibrates it.

        Raises:
            UsageError: None was fitted.
        """
        found = self.record.temperature
        if found is None:
            raise UsageError(
                f"The model {self.folder.name} has no temperature to calibrate it by: "
                f"{self.record.without_temperature}.",
                "leave out --calibrated",
            )
        return found

    @property
    def detection(self) -> DetectorCrop | None:
        """How a detector's boxes were found that its images were cut to."""
        return self.record.dataset.detection

    @property
    def weights(self) -> Path:
        """Its weights file; that and the whole model, if it is there, are those that were written.

        Raises:
            RecordDamaged: They are not.
        """
        weights = self.folder / WEIGHTS_FILE
        for name, sha256 in {WEIGHTS_FILE: "", **self.record.sha256}.items():
            path = self.folder / name
            if path == weights or path.exists():
                require_written(path, sha256, AGAIN_FROM_START)
        return weights

    def load(self) -> keras.Model:
        """From pixels float32 `[B, S, S, 3]`, 0 to 255, to logits `[B, C]`.

        Raises:
            RecordDamaged: As `assembled`.
        """
        return self.assembled().whole()

    def assembled(self) -> Assembled:
        """Backbone and head with the finished weights.

        Raises:
            RecordDamaged: The weights file is not the one that was written.
        """
        weights = self.weights
        backbone = self.record.backbone
        shape = (*self.record.sides, self.record.width)
        head = build_head(self.record.head, shape, len(self.record.class_names))
        network = build_backbone(backbone.name, "none", backbone.image_size)
        network = network.up_to(backbone.boundary)
        assembled = Assembled(network, backbone.pooling, head)
        assembled.whole().load_weights(weights)
        return assembled


def _folder(workspace: Workspace, model: str | None) -> Path:
    if model is None:
        folder = remembered(workspace, "model")
        if folder is None:
            raise ModelMissing("Nothing has been fine-tuned here yet.", FINETUNE)
        return folder
    if Path(model).is_dir():
        return Path(model)
    found = {
        f"{name}/{path.parent.name}": path.parent
        for name in study_names(workspace)
        for path in run_records(workspace.study(name))
    }
    if model not in found:
        raise ModelMissing(f"There is no finished model {model!r}{known(found)}.", FINETUNE)
    return found[model]
