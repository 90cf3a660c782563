"""The finished model as whoever uses it asks for it: its files, its size, its speed."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.finetune.speed import Speed
from cars_bench.progress import size
from cars_bench.reports.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file, or folder, of the finished model.

    Attributes:
        path: As seen from the workspace.
        kind: What it is, in words.
        bytes: Its size.
    """

    path: str
    kind: str
    bytes: int

    @property
    def size(self) -> str:
        """Its size in words."""
        return size(self.bytes)


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The chosen run's model.

    Attributes:
        run: Its run.
        files: Those that are on this machine.
        speed: How fast it answers; `None` where it was not measured.
    """

    run: str
    files: tuple[ModelFile, ...]
    speed: Speed | None


KINDS = {".keras": "Keras model", ".h5": "weights alone", "": "TensorFlow SavedModel"}


def facts(inputs: Inputs) -> ModelFacts | None:
    """Look at the chosen run's files; `None` where nothing was fine-tuned."""
    run = inputs.run
    if run is None:
        return None
    files = [
        ModelFile(path=inputs.place(path), kind=KINDS.get(path.suffix, path.suffix), bytes=count)
        for path, count in run.files().items()
    ]
    return ModelFacts(run=run.name, files=tuple(files), speed=run.record.speed)
