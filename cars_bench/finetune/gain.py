"""Whether fine-tuning paid: the finished model against the frozen head that it was built on.

Decided image by image, on the test images where they were read, else on the validation
images.  Fine-tuning has paid only where the gain is settled; else the frozen head is as good
for a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from cars_bench.evaluation.comparison import AnswersChanged, answers_changed
from cars_bench.evaluation.predictions import Predictions
from cars_bench.finetune.run_record import RunRecord
from cars_bench.finetune.runs import FINETUNED, FROZEN, Run, Stage
from cars_bench.progress import plural

SPLITS = ("test", "val")
"""Where it is decided: the first that both answered."""
SPLIT_WORDS = {"test": "test", "val": "validation"}


@dataclass(frozen=True)
class Gain:
    """What fine-tuning changed.

    Attributes:
        split: `test` or `val`, on which the best epoch was chosen.
        changed: The finished model's answers less the frozen head's.
    """

    split: str
    changed: AnswersChanged

    @property
    def paid(self) -> bool:
        """Whether the finished model is better for certain."""
        return self.changed.settled and self.changed.difference.value > 0

    @property
    def harmed(self) -> bool:
        """Whether it is worse for certain."""
        return self.changed.settled and self.changed.difference.value < 0

    @property
    def recommended(self) -> Stage:
        """What to use: the frozen head, unless fine-tuning paid."""
        return FINETUNED if self.paid else FROZEN

    def said(self, images: str) -> str:
        """Whether it paid, and by how much, in a sentence.

        Args:
            images: Those that both answered, in words.
        """
        changed = self.changed
        amount = f"{100 * changed.difference.value:+.1f} points on {images}"
        if self.paid:
            return f"Fine-tuning paid: {amount} ({changed.evidence})."
        if self.harmed:
            return f"Fine-tuning did harm: {amount} ({changed.evidence})."
        if changed.same_answers:
            return f"Fine-tuning did not pay: the same of {images} are named right."
        return f"Fine-tuning did not pay: {amount} may be chance ({changed.evidence})."

    @property
    def advice(self) -> str:
        """Whether it paid and what to use, where no page stands around it."""
        images = plural(self.changed.images, f"{SPLIT_WORDS[self.split]} image")
        use = "the fine-tuned model" if self.paid else "the frozen head"
        return f"{self.said(images)} Recommended: {use}."


def frozen_command(record: RunRecord) -> str:
    """What makes the head of a run, before anything was unfrozen, a whole model."""
    study = quote(record.study)
    return f"cars-bench finetune --trial {record.trial_id} --unfreeze none --study {study}"


def gain_in(answers: Mapping[tuple[str, str], Predictions]) -> Gain | None:
    """What fine-tuning changed, by stage and split of what was answered.

    `None` where no split was answered by both.
    """
    for split in SPLITS:
        before = answers.get((FROZEN, split))
        after = answers.get((FINETUNED, split))
        if before and after:
            return Gain(split, answers_changed(before, after))
    return None


def gain_of(run: Run) -> Gain | None:
    """The same of a run on disk; `None` as well where nothing was trained.

    Raises:
        RecordDamaged: A table of predictions is damaged.
    """
    return gain_in(run.answers()) if run.record.epochs else None
