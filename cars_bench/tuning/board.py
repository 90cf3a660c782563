"""What a running search shows: each ended trial, and the best so far."""

from __future__ import annotations

from cars_bench.documents import from_json
from cars_bench.progress import Task
from cars_bench.training.specs import HeadSpec
from cars_bench.tuning.ledger import Trial

SHOWN = 5
COLUMNS = ("trial", "val top-1", "95% interval", "best epoch", "seconds", "head")


class Board:
    """The best few trials, beside the bar on a terminal, in the lines elsewhere."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.best: list[Trial] = []

    def count(self, record: Trial, earlier: bool = False) -> None:
        """Take an ended trial into account, `earlier` if it ended before this search began."""
        if record.score is None:
            self.task.advance(note=f"{record.trial_id} failed", earlier=earlier)
            self.task.line(f"{record.trial_id}  failed: {record.reason}")
            return
        self.best = sorted([*self.best, record], key=lambda item: -(item.score or 0.0))[:SHOWN]
        first = self.best[0]
        best = f"best {first.score:.4f} ({first.trial_id})"
        self.task.advance(note=best, earlier=earlier)
        self.task.table(COLUMNS, [cells(item) for item in self.best])
        self.task.line(
            f"{record.trial_id}  val top-1 {record.score:.4f}  {record.seconds:5.1f} s  {best}"
        )


def cells(record: Trial) -> tuple[str, ...]:
    """One line of the table."""
    head = from_json(HeadSpec, record.head or {}).describe()
    return (
        record.trial_id,
        f"{record.score:.4f}",
        f"{record.low:.4f} to {record.high:.4f}",
        str(record.best_epoch),
        f"{record.seconds:.1f}",
        head,
    )
