"""The boxes that a model tells, held against the true ones; and pictures of both.

On the test images where they were read, else on the validation images; of the finished model,
before there is one of the winner of the search.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from cars_bench.data.dataset import Dataset, LabelledImage, evenly
from cars_bench.data.images import Box
from cars_bench.evaluation.boxes import LOOSE, TIGHT, BoxScore, box_score, ious_by_image
from cars_bench.evaluation.predictions import Predictions
from cars_bench.finetune.gain import SPLIT_WORDS, SPLITS
from cars_bench.finetune.runs import FROZEN, STAGES, Stage
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import Thumbnails, data_uri
from cars_bench.reports.svg import BLUE, INK, PHONE_WIDTH, Figures, draw, plain_axes
from cars_bench.reports.words import Table, Tables, count, percent

BINS = 20
EACH = 4
"""Pictures of the worst boxes, of middling ones and of the best."""
SIDE_PIXELS = 168
LINE_PIXELS = 2
DASH_PIXELS = 7
TRUE_COLOUR = (255, 255, 255)
SAID_COLOUR = (213, 94, 0)
SHADOW = (0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class BoxLook:
    """One image.

    Attributes:
        true: The true box as shares of width and height.
        said: The model's, likewise.
        iou: Of the two, in [0, 1].
    """

    image_id: str
    true: Box
    said: Box
    iou: float


@dataclass(frozen=True, kw_only=True)
class BoxFacts:
    """Of one model on one split.

    Attributes:
        model: What it is called.
        split: `test` or `val`.
        score: Mean IoU and the shares above 0.5 and 0.75.
        counts: Images by IoU, in even bins from 0 to 1; empty where only the score is kept.
        looks: The worst, some in the middle, the best; from the worst to the best.
    """

    model: str
    split: str
    score: BoxScore
    counts: tuple[int, ...] = ()
    looks: tuple[BoxLook, ...] = ()

    @property
    def images(self) -> str:
        """What its images are called."""
        return f"{SPLIT_WORDS[self.split]} images"


def facts(inputs: Inputs) -> BoxFacts | None:
    """Hold every box against the true one; `None` where nothing tells any."""
    for split in SPLITS:
        for stage in reversed(STAGES):
            found = _of_answers(inputs, stage, split)
            if found:
                return found
    return _of_winner(inputs)


def _of_answers(inputs: Inputs, stage: Stage, split: str) -> BoxFacts | None:
    """What was told of every image of a split; `None` where that is not known."""
    answers = inputs.answers(stage, split)
    if inputs.dataset is None or inputs.dataset.is_cropped or answers is None:
        return None
    images = inputs.dataset.images
    true = inputs.dataset.object_boxes
    score = box_score(answers, true)
    if score is None:
        return None
    overlaps = ious_by_image(answers, true)
    counts, _ = np.histogram(list(overlaps.values()), BINS, (0, 1))
    return BoxFacts(
        model=inputs.called(stage),
        split=split,
        score=score,
        counts=tuple(counts.tolist()),
        looks=tuple(_look(images[name], answers, overlaps[name]) for name in _shown(overlaps)),
    )


def _of_winner(inputs: Inputs) -> BoxFacts | None:
    """What the search kept of its winner, on validation."""
    score = inputs.head.record.boxes if inputs.head else None
    if score is None or inputs.run is not None:
        return None
    return BoxFacts(model=inputs.called(FROZEN), split="val", score=score)


def _shown(overlaps: dict[str, float]) -> list[str]:
    """Names of the images that are shown, from the worst box to the best."""
    order = sorted(overlaps, key=lambda name: (overlaps[name], name))
    if len(order) <= 3 * EACH:
        return order
    middle = order[EACH:-EACH]
    start = (len(middle) - EACH) // 2
    return [*order[:EACH], *evenly(middle[start : start + EACH], EACH), *order[-EACH:]]


def _look(image: LabelledImage, answers: Predictions, iou: float) -> BoxLook:
    said = answers.by_image[image.image_id].box
    assert image.box
    assert said
    return BoxLook(
        image_id=image.image_id, true=_shares(image.box, image), said=_shares(said, image), iou=iou
    )


def _shares(box: Box, image: LabelledImage) -> Box:
    left, top, right, bottom = box
    return left / image.width, top / image.height, right / image.width, bottom / image.height


def figure(facts: BoxFacts) -> Figures:
    """How many boxes overlap how far with the true ones."""
    if not facts.counts:
        return {}

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "IoU with the true box", facts.images)
        edges = np.linspace(0, 1, BINS + 1)
        axes.bar(edges[:-1], facts.counts, width=1 / BINS, align="edge", color=BLUE, alpha=0.8)
        axes.axvline(facts.score.mean_iou.value, color=INK, linewidth=1.2)
        for bound in (LOOSE, TIGHT):
            axes.axvline(bound, color=INK, linewidth=0.9, linestyle=(0, (3, 3)))
        axes.set_xlim(0, 1)

    return {"boxes": draw("boxes", "Overlap of boxes", facts.score.text + ".", paint, PHONE_WIDTH)}


def table(facts: BoxFacts) -> Tables:
    """The numbers of the figure."""
    if not facts.counts:
        return {}
    rows = tuple(
        (f"{number / BINS:.2f} to {(number + 1) / BINS:.2f}", count(images),
         percent(images / facts.score.n))
        for number, images in enumerate(facts.counts)
    )  # fmt: skip
    return {"boxes": Table(("IoU", facts.images.capitalize(), "Share"), rows)}


def pictures(
    facts: BoxFacts | None, dataset: Dataset | None, thumbnails: Thumbnails
) -> dict[str, str]:
    """Each shown image with both boxes, as a data URI: the true one whole, the model's dashed."""
    if facts is None or dataset is None:
        return {}
    found = {look: thumbnails.picture(look.image_id, SIDE_PIXELS) for look in facts.looks}
    return {
        look.image_id: data_uri(with_boxes(picture, look))
        for look, picture in found.items()
        if picture is not None
    }


def with_boxes(picture: Image.Image, look: BoxLook) -> Image.Image:
    """The picture with both boxes: told apart by line and by light, so not by colour alone."""
    drawn = picture.copy()
    brush = ImageDraw.Draw(drawn)
    for box, colour, dashed in ((look.true, TRUE_COLOUR, False), (look.said, SAID_COLOUR, True)):
        sides = (picture.width - 1, picture.height - 1) * 2
        left, top, right, bottom = (edge * side for edge, side in zip(box, sides, strict=True))
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        for start, end in itertools.pairwise(corners):
            brush.line((*start, *end), SHADOW, LINE_PIXELS + 2)
            for piece in _pieces(start, end) if dashed else [(*start, *end)]:
                brush.line(piece, colour, LINE_PIXELS)
    return drawn


def _pieces(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """The dashes of a line."""
    first = np.array(start)
    last = np.array(end)
    many = max(1, round(float(np.abs(last - first).max()) / DASH_PIXELS / 2))
    ends = [(first + (last - first) * at / (2 * many)).tolist() for at in range(2 * many + 1)]
    return [(*ends[at], *ends[at + 1]) for at in range(0, 2 * many, 2)]
