"""Tables of predictions: one CSV row an image, its five best answers by class name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cars_bench.data.images import Box
from cars_bench.errors import InputError, RecordDamaged, shown
from cars_bench.evaluation.metrics import TOP_K, SplitScore, ranking, softmax, split_score
from cars_bench.tables import table_rows, write_table
from cars_bench.workspace import plain_bytes

if TYPE_CHECKING:
    import pandas as pd

RANKS = range(1, TOP_K + 1)
COLUMNS = (
    "image_id",
    "true",
    *(f"pred{rank}" for rank in RANKS),
    *(f"prob{rank}" for rank in RANKS),
)
BOX_COLUMNS = ("x1", "y1", "x2", "y2")
"""Behind the others where the model tells boxes."""
AGAIN = "delete it and run cars-bench evaluate"
_DIGITS = 6
_PIXEL_DIGITS = 2


@dataclass(frozen=True)
class Prediction:
    """What a model answered for one image.

    Attributes:
        image_id: The image.
        true: Name of its class, empty when unknown.
        answers: Up to five class names, best first; one at least.
        probabilities: Their probabilities, 0 to 1, rounded to six digits.
        box: Where the object is, in pixels of the upright original, rounded to hundredths;
            `None` where the model tells none.
    """

    image_id: str
    true: str
    answers: tuple[str, ...]
    probabilities: tuple[float, ...]
    box: Box | None = None

    def correct(self, k: int = 1) -> bool:
        """Whether the true class is among the first `k` answers."""
        return bool(self.true) and self.true in self.answers[:k]

    @property
    def given(self) -> float | None:
        """The probability given to the true class, where it is among the answers."""
        return dict(zip(self.answers, self.probabilities, strict=True)).get(self.true)


@dataclass(frozen=True)
class Predictions:
    """What a model answered for N images.

    Every published number comes from such a table and so from probabilities of
    six digits: a model just trained and its file read again agree to the digit.

    Attributes:
        rows: One an image, in the order they were predicted.
    """

    rows: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """The images."""
        return tuple(row.image_id for row in self.rows)

    @cached_property
    def true(self) -> tuple[str, ...]:
        """Name of each image's class, empty when unknown."""
        return tuple(row.true for row in self.rows)

    @cached_property
    def answers(self) -> tuple[tuple[str, ...], ...]:
        """Up to five class names an image, best first."""
        return tuple(row.answers for row in self.rows)

    @cached_property
    def probabilities(self) -> tuple[tuple[float, ...], ...]:
        """Of `answers`, 0 to 1."""
        return tuple(row.probabilities for row in self.rows)

    @cached_property
    def predicted(self) -> tuple[str, ...]:
        """The best answer to each image."""
        return tuple(names[0] for names in self.answers)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the best answer, float64 [N], 0 to 1."""
        return np.array([chances[0] for chances in self.probabilities], np.float64)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether the best answer is right, bool [N]."""
        return self.hits(1)

    @cached_property
    def by_image(self) -> dict[str, Prediction]:
        """The rows by image id."""
        return {row.image_id: row for row in self.rows}

    @property
    def boxed(self) -> bool:
        """Whether they tell boxes."""
        return any(row.box for row in self.rows)

    def hits(self, k: int) -> np.ndarray:
        """Whether the true class is among the `k` best answers (at most five), bool [N]."""
        return np.array([row.correct(k) for row in self.rows], bool)


def predictions(
    image_ids: Sequence[str],
    logits: np.ndarray,
    class_names: Sequence[str],
    labels: Sequence[int] | np.ndarray | None = None,
    boxes: np.ndarray | None = None,
) -> Predictions:
    """Turn logits into predictions.

    Args:
        image_ids: N names.
        logits: [N, C], before softmax.
        class_names: C names; the index is the label.
        labels: int [N], or `None` when the classes are unknown.
        boxes: [N, 4], x1, y1, x2, y2 in pixels of the upright originals; `None` without.

    Raises:
        ValueError: The lengths do not agree.
    """
    if logits.shape != (len(image_ids), len(class_names)):
        raise ValueError(f"{len(image_ids)} images, logits {logits.shape}")
    if labels is not None and len(labels) != len(image_ids):
        raise ValueError(f"{len(image_ids)} images, {len(labels)} labels")
    best = ranking(logits)
    chances = np.take_along_axis(softmax(logits), best, axis=1)
    return Predictions(
        tuple(
            Prediction(
                image_id=image_id,
                true="" if labels is None else class_names[int(labels[row])],
                answers=tuple(class_names[label] for label in best[row]),
                probabilities=tuple(round(float(chance), _DIGITS) for chance in chances[row]),
                box=None if boxes is None else _rounded(boxes[row]),
            )
            for row, image_id in enumerate(image_ids)
        )
    )


def score_of(answers: Predictions) -> SplitScore:
    """Top-1 and top-5 of answers to labelled images."""
    return split_score(answers.correct, answers.hits(TOP_K))


def predictions_file(split: str, suffix: str = "") -> str:
    """What a table of predictions is called, beside the model or the head that made them."""
    return f"predictions-{split}{suffix}.csv"


def write_predictions(path: Path, rows: Iterable[Prediction], boxed: bool = False) -> None:
    """Write `rows` as CSV, atomically; fewer than five classes leave columns empty.

    Args:
        path: The file.
        rows: One an image.
        boxed: Whether they have boxes, which then stand in four columns more.
    """
    write_table(path, COLUMNS + (BOX_COLUMNS if boxed else ()), map(_cells, rows))


def frame_of(answers: Predictions) -> pd.DataFrame:
    """The same table as pandas has it; where there are fewer than five classes, without value."""
    # Slow to import, and who only measures needs it not.
    import pandas as pd

    rows = [
        [row.image_id, row.true, *_padded(row.answers), *_padded(row.probabilities)]
        for row in answers
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({f"prob{rank}": float for rank in RANKS})


def _padded(values: tuple[str, ...] | tuple[float, ...]) -> list[str | float]:
    return [*values, *[np.nan] * (TOP_K - len(values))]


def read_predictions(path: Path, class_names: Sequence[str] | None = None) -> Predictions:
    """Read what `write_predictions` wrote.

    Args:
        path: The file.
        class_names: Of which all classes must be; `None` takes any.

    Raises:
        InputError: The file is missing.
        RecordDamaged: It is not such a table, or of other classes.
    """
    found = Predictions(tuple(_rows(path)))
    named = {name for row in found for name in (row.true, *row.answers)} - {""}
    strange = sorted(named - set(class_names if class_names is not None else named))
    if strange:
        raise RecordDamaged(f"{path} names a class {shown(strange[0])} that is none.", AGAIN)
    return found


def _rows(path: Path) -> Iterator[Prediction]:
    read = 0
    try:
        rows = table_rows(plain_bytes(path).decode())
        columns = tuple(next(rows, ()))
        if columns not in (COLUMNS, COLUMNS + BOX_COLUMNS):
            raise RecordDamaged(f"{path} is not a table of predictions.", AGAIN)
        for cells in rows:
            read += 1
            if len(cells) != len(columns):
                raise ValueError(f"a row has {len(cells)} columns")
            yield _prediction(cells)
    except FileNotFoundError as error:
        raise InputError(f"There are no predictions {path}.", "cars-bench evaluate") from error
    except ValueError as error:
        place = f" row {read}" if read else ""
        raise RecordDamaged(f"{path}{place} is damaged: {error}.", AGAIN) from error


def _cells(row: Prediction) -> list[str]:
    padding = [""] * (TOP_K - len(row.answers))
    chances = [f"{chance:.{_DIGITS}f}" for chance in row.probabilities]
    edges = [f"{edge:.{_PIXEL_DIGITS}f}" for edge in row.box or ()]
    return [row.image_id, row.true, *row.answers, *padding, *chances, *padding, *edges]


def _rounded(box: np.ndarray) -> Box:
    left, top, right, bottom = (round(float(edge), _PIXEL_DIGITS) for edge in box)
    return left, top, right, bottom


def _prediction(cells: list[str]) -> Prediction:
    answers = cells[2 : 2 + TOP_K]
    chances = cells[2 + TOP_K : len(COLUMNS)]
    probabilities = tuple(float(chance) for chance in chances if chance)
    if not probabilities or not all(0 <= chance <= 1 for chance in probabilities):
        raise ValueError(f"{cells[0]} has no probabilities from 0 to 1")
    return Prediction(
        image_id=cells[0],
        true=cells[1],
        answers=tuple(name for name, chance in zip(answers, chances, strict=True) if chance),
        probabilities=probabilities,
        box=_box(cells[len(COLUMNS) :]),
    )


def _box(cells: list[str]) -> Box | None:
    if not cells:
        return None
    left, top, right, bottom = map(float, cells)
    if not (np.isfinite((left, top, right, bottom)).all() and left <= right and top <= bottom):
        raise ValueError(f"{', '.join(cells)} is no box")
    return left, top, right, bottom
