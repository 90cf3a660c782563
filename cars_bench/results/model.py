"""A fine-tuned model: its scores, its errors and its answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from cars_bench.data.dataset import Dataset, Split
from cars_bench.errors import DatasetMissing
from cars_bench.evaluation.confusion import mistakes
from cars_bench.finetune.gain import gain_of
from cars_bench.finetune.ranked_heads import Ranking
from cars_bench.finetune.runs import FINETUNED, STAGES, Run, Stage
from cars_bench.keras_backend import load_keras
from cars_bench.panels import panel
from cars_bench.progress import for_stream
from cars_bench.results.prediction import Paths, predicted
from cars_bench.results.scores import score_rows, score_table
from cars_bench.workspace import Workspace


@dataclass(frozen=True, repr=False)
class ModelResult:
    """A fine-tuned model, and the frozen head that it was built on.

    Attributes:
        workspace: Where it lies.
        run: The finished run on disk.
        ranking: With `top`, the heads that were finished and whether their ranks hold.
    """

    workspace: Workspace
    run: Run
    ranking: Ranking | None = None

    @property
    def name(self) -> str:
        """`STUDY/RUN`, as `model=` takes it."""
        return f"{self.run.record.study}/{self.run.name}"

    def scores(self) -> pd.DataFrame:
        """One row a stage and split: top-1 and top-5 with 95% intervals, and the images."""
        return score_table({stage: self.run.scores(stage) for stage in STAGES})

    def curves(self) -> pd.DataFrame:
        """One row an epoch: losses, validation top-1, rate and seconds."""
        return pd.DataFrame(map(asdict, self.run.history()))

    def errors(self, split: Split = "test", stage: Stage = FINETUNED) -> pd.DataFrame:
        """The images that are named wrong, the surest first.

        Args:
            split: `val` or `test`; it must have been evaluated.
            stage: `finetuned`, or `frozen` for the head on the frozen backbone.

        Returns:
            image_id, true, predicted, probability (of the answer), given (to the truth, NaN
            below the five best) and path (empty where the dataset has no such image now).

        Raises:
            InputError: The split was not evaluated.
        """
        wrong = pd.DataFrame(
            map(asdict, mistakes(self.run.table(stage, split))),
            columns=["image_id", "true", "predicted", "probability", "given"],
        )
        paths = self._paths()
        return wrong.assign(path=[paths.get(name, "") for name in wrong["image_id"]])

    def predict(self, paths: Paths, calibrated: bool = False, quiet: bool = False) -> pd.DataFrame:
        """The five likeliest classes of images, or of all images in folders.

        Raises:
            As `cars_bench.predict`.
        """
        progress = for_stream(quiet)
        load_keras(progress, "tensorflow")
        from cars_bench.finetune.predict import PredictOptions

        asked = PredictOptions(output=Path(), model=str(self.run.folder), calibrated=calibrated)
        return predicted(self.workspace, paths, asked, None, progress).table()

    def _paths(self) -> dict[str, str]:
        try:
            dataset = Dataset.load(self.workspace, self.run.record.dataset.name)
        except DatasetMissing:
            return {}
        return {name: str(image.path) for name, image in dataset.images.items()}

    def __repr__(self) -> str:
        return f"model {self.name}\n{self.scores()}"

    def _repr_html_(self) -> str:
        gain = gain_of(self.run)
        lines = [gain.advice] if gain else []
        if self.run.record.speed:
            lines.append(f"speed: {self.run.record.speed.text}")
        scores = {stage: self.run.scores(stage) for stage in STAGES}
        return panel(f"model {self.name}", lines, score_rows(scores))
