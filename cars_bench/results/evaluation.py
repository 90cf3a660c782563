"""A model measured on a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cars_bench.documents import from_json
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.finetune.runs import STAGES, Stage
from cars_bench.panels import panel
from cars_bench.results.scores import score_rows, score_table


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """A model measured on one split, from its files and the original images.

    Attributes:
        document: All that `evaluate --json` prints.
    """

    document: dict[str, Any]

    def scores(self) -> pd.DataFrame:
        """One row a stage: top-1 and top-5 with 95% intervals, and the images."""
        return score_table(self._scores())

    def classes(self, stage: Stage | None = None) -> pd.DataFrame:
        """One row a class: class, recall, low and high (its 95% interval), n images.

        Args:
            stage: By default the fine-tuned model.
        """
        return pd.DataFrame(self._measures(stage)["classes"]).rename(columns={"value": "recall"})

    def confused(self, stage: Stage | None = None) -> pd.DataFrame:
        """The most frequent mistakes: true and predicted class, how often, of what share."""
        columns = ["true", "predicted", "count", "share"]
        return pd.DataFrame(self._measures(stage)["confused"], columns=columns)

    def _measures(self, stage: Stage | None) -> dict[str, Any]:
        measures = self.document["measures"]
        found: dict[str, Any] = measures[stage or list(measures)[-1]]
        return found

    def _scores(self) -> dict[Stage, dict[str, SplitScore]]:
        return {
            stage: {
                split: from_json(SplitScore, score) for split, score in self.document[stage].items()
            }
            for stage in STAGES
        }

    def __repr__(self) -> str:
        return f"evaluation of {self.document['model']}\n{self.scores()}"

    def _repr_html_(self) -> str:
        gain = self.document.get("gain")
        lines = [gain["said"]] if gain else []
        rows = score_rows(self._scores())
        return panel(f"evaluation of {self.document['model']}", lines, rows)
