"""What a model answers for new images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cars_bench.evaluation.predictions import Predictions, frame_of, read_predictions
from cars_bench.panels import panel
from cars_bench.progress import Progress, plural
from cars_bench.workspace import Workspace

if TYPE_CHECKING:
    from cars_bench.finetune.predict import PredictOptions

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One image or folder, or several."""

SHOWN = 5
"""Answers that a panel shows."""


@dataclass(frozen=True, kw_only=True, repr=False)
class PredictionResult:
    """What a model answered for new images.

    Attributes:
        answers: Up to five classes an image, with their probabilities.
        unreadable: Files that could not be read, with the reason.
        warnings: Sentences about what makes the answers worth less.
        temperature: What the logits were divided by; 1 leaves them as they are.
        found: How many of the images a detector cut to a box; `None` without a detector.
        whole: The others, in which it found nothing; `None` without a detector.
        output: The CSV, where one was asked for.
    """

    answers: Predictions
    unreadable: dict[str, str]
    warnings: tuple[str, ...]
    temperature: float
    found: int | None
    whole: tuple[str, ...] | None
    output: Path | None

    def table(self) -> pd.DataFrame:
        """One row an image: image_id, pred1 to pred5, prob1 to prob5."""
        return frame_of(self.answers).drop(columns="true")

    def __repr__(self) -> str:
        return "\n".join([plural(len(self.answers), "image"), *self._lines()])

    def _lines(self) -> list[str]:
        unreadable = [f"unreadable: {name}: {why}" for name, why in self.unreadable.items()]
        return [*(f"warning: {text}" for text in self.warnings), *unreadable[:SHOWN]]

    def _repr_html_(self) -> str:
        rows = [
            (row.image_id, row.answers[0], f"{row.probabilities[0]:.1%}")
            for row in self.answers.rows[:SHOWN]
        ]
        heads = [("image", "likeliest", "probability")] if rows else []
        title = f"predictions of {plural(len(self.answers), 'image')}"
        return panel(title, self._lines(), [*heads, *rows])


def predicted(
    workspace: Workspace,
    paths: Paths,
    asked: PredictOptions,
    output: Path | None,
    progress: Progress,
) -> PredictionResult:
    """Predict as the command does, whose CSV is read again; Keras is loaded already.

    Args:
        workspace: Holds the model.
        paths: Images and folders.
        asked: All but where to write.
        output: The CSV to keep; `None` keeps none.
        progress: Told what goes on.
    """
    from cars_bench.finetune.predict import predict

    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    with tempfile.TemporaryDirectory() as folder:
        place = output or Path(folder) / "predictions.csv"
        done = predict(workspace, [Path(p) for p in given], replace(asked, output=place), progress)
        answers = read_predictions(place)
    return PredictionResult(
        answers=answers,
        unreadable=done.unreadable,
        warnings=done.warnings,
        temperature=done.temperature,
        found=done.found,
        whole=done.whole,
        output=output,
    )
