"""The table of an experiment: every published score, and ours beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cars_bench.backbones.catalogue import OFFLINE_BACKBONE
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.experiments.config import Expected, Published
from cars_bench.experiments.record import AttemptRecord, ExperimentRecord


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published score and ours, or ours alone.

    Attributes:
        experiment: Its name.
        attempt: Which of ours.
        what: What was published, or what the attempt tries.
        split: Of both, `val` or `test`.
        published: Top-1 in [0, 1]; `None` where nothing was.
        published_top5: The same.
        note: What a reader should know of the published score.
        value: Our top-1; `None` where it is not measured.
        low: Lower end of its 95% interval.
        high: Upper end.
        top5: Ours.
        boxes: How good our boxes are; `None` where the head tells none.
        expected: What ours came to where it was last measured, with this backbone; `None` where
            that is not known.
        backbone: That ours comes from.
        offline: It is the offline backbone, not the published one.
        image_size: Side of our input in pixels.
        crop: What our pictures are cut to.
        seconds: Wall time of the attempt; of the whole experiment where the score is its own.
        chosen: The attempt was chosen on validation.
        lacking: Why ours could not be done here.
    """

    experiment: str
    attempt: str
    what: str
    split: str
    published: float | None = None
    published_top5: float | None = None
    note: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    top5: float | None = None
    boxes: BoxScore | None = None
    expected: Expected | None = None
    backbone: str
    offline: bool
    image_size: int
    crop: str
    seconds: float
    chosen: bool = False
    lacking: str = ""


def rows_of(record: ExperimentRecord) -> tuple[Row, ...]:
    """The experiment's own published scores first, then attempt by attempt."""
    chosen = record.attempt(record.chosen)
    own = [_row(record, chosen, said, record.wall_seconds) for said in record.published if chosen]
    return (*own, *(row for item in record.attempts for row in _of_attempt(record, item)))


def _of_attempt(record: ExperimentRecord, attempt: AttemptRecord) -> Iterator[Row]:
    """A row a published score; one of its own where nothing was published of it."""
    for said in attempt.published:
        yield _row(record, attempt, said, attempt.wall_seconds)
    told = {said.split for said in attempt.published}
    for split in ("val", "test"):
        measured = getattr(attempt, split) is not None or (split == "val" and not told)
        if split not in told and measured:
            yield _row(record, attempt, None, attempt.wall_seconds, split)


def _row(
    record: ExperimentRecord,
    attempt: AttemptRecord,
    said: Published | None,
    seconds: float,
    split: str = "",
) -> Row:
    split = said.split if said else split
    ours = attempt.val if split == "val" else attempt.test
    boxes = attempt.val_boxes if split == "val" else attempt.test_boxes
    return Row(
        experiment=record.name,
        attempt=attempt.name,
        what=said.what if said else attempt.summary or attempt.name,
        split=split,
        published=said.top1 if said else None,
        published_top5=said.top5 if said else None,
        note=said.note if said else "",
        value=ours.top1.value if ours else None,
        low=ours.top1.low if ours else None,
        high=ours.top1.high if ours else None,
        top5=ours.top5.value if ours else None,
        boxes=boxes,
        expected=_expected(record, attempt, split),
        backbone=attempt.backbone,
        offline=attempt.backbone == OFFLINE_BACKBONE,
        image_size=attempt.image_size,
        crop=attempt.crop,
        seconds=seconds,
        chosen=attempt.name == record.chosen,
        lacking=attempt.lacking,
    )


def _expected(record: ExperimentRecord, attempt: AttemptRecord, split: str) -> Expected | None:
    """What the attempt is expected to come to, where that was measured with this backbone."""
    said = record.expected
    if said is None or (said.split, said.backbone) != (split, record.backbone):
        return None
    return said if (said.attempt or record.chosen) == attempt.name else None
