"""What `cars-bench fidelity` found out about a study's cache: its record `fidelity.json`.

Not the fidelity of a hand-off, which every run proves for itself (`handoff.py`).
Keras is not imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.agreement import Regret
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.recipe import Recipe
from cars_bench.progress import plural
from cars_bench.tuning.study import Study

FIDELITY_FILE = "fidelity.json"
COMMAND = "cars-bench fidelity"


@dataclass(frozen=True, kw_only=True)
class FidelityHead:
    """One head that is finished to see whether its rank holds.

    Attributes:
        trial_id: The head.
        rank: On the leaderboard among the heads, from 1.
        cached: Validation top-1 on the cache, as the leaderboard shows it.
        tied: It cannot be told from the leaderboard's first.
        finetuned: Validation top-1 after fine-tuning, a seed; empty until all heads are finished.
        runs: Their runs.
    """

    trial_id: str
    rank: int
    cached: float
    tied: bool
    finetuned: tuple[float, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Validation top-1 after fine-tuning, over the seeds."""
        return fmean(self.finetuned) if self.finetuned else 0.0


@dataclass(frozen=True, kw_only=True)
class ViewSource:
    """Where the training images of the cache's winner came from, and what that is worth.

    Attributes:
        views: Cached views of an image, the plain one included; 0 is live images.
        top1: Validation top-1 after fine-tuning, over the seeds.
        lost: Top-1 of live images less this one, on the same images.
        epoch_seconds: Median wall time of an epoch.
        seconds: Mean wall time of a whole training, without the making of the cache.
        runs: One a seed.
    """

    views: int
    top1: Estimate
    lost: Estimate
    epoch_seconds: float
    seconds: float
    runs: tuple[str, ...]

    @property
    def name(self) -> str:
        """In words."""
        return plural(self.views, "cached view") if self.views else "live"


@dataclass(frozen=True, kw_only=True)
class FidelityRecord:
    """What `fidelity.json` says.  Every score is of the validation images.

    Written before the first run, so that an attempt that was killed goes on with the same
    heads, again when all heads are finished, and at the end.

    Attributes:
        study: Name of the study.
        recipe: How every head is finished, resolved.
        seeds: Trainings of each head.
        winner: The head that the cache takes.
        heads: By rank on the cache.
        images: Validation images.
        tau: Kendall's tau-b between the two scores of all heads; `None` before they are finished.
        tied_tau: The same of the tied heads alone; `None` also below two of them.
        regret: What it costs to take the cache's winner; `None` before.
        views: The winner finished on 1, K and live views, in this order; empty before.
        complete: Nothing is left to do.
    """

    study: str
    recipe: Recipe
    seeds: int
    winner: str
    heads: tuple[FidelityHead, ...]
    images: int = 0
    tau: Estimate | None = None
    tied_tau: Estimate | None = None
    regret: Regret | None = None
    views: tuple[ViewSource, ...] = ()
    complete: bool = False

    def asks_as(self, other: FidelityRecord) -> bool:
        """Whether both finish as many heads in the same way, whichever they are."""
        mine, theirs = (
            (item.study, item.recipe, item.seeds, len(item.heads)) for item in (self, other)
        )
        return mine == theirs

    @property
    def tied(self) -> tuple[FidelityHead, ...]:
        """The heads that the cache cannot tell from its best."""
        return tuple(head for head in self.heads if head.tied)

    @property
    def best(self) -> FidelityHead:
        """The best head after fine-tuning; the first on the cache among equals."""
        return max(self.heads, key=lambda head: head.mean)

    @property
    def any_will_do(self) -> bool:
        """Whether the order of the tied heads on the cache says nothing for certain."""
        found = self.tied_tau
        return found is not None and found.low <= 0 <= found.high

    @property
    def advice(self) -> str:
        """What this means for whoever has to choose a head, in a sentence; empty before."""
        if self.tau is None:
            return ""
        if self.any_will_do:
            return (
                f"Any of these heads will do: of the {len(self.tied)} that are tied on the cache, "
                f"the order there does not tell the one after fine-tuning ({_said(self.tied_tau)})."
            )
        if self.tied_tau is None:
            return (
                f"Of the heads that were finished only {self.winner} is as good as the cache's "
                f"best, and over all of them Kendall's tau is {_numbers(self.tau)}."
            )
        turned = "holds" if self.tied_tau.value > 0 else "turns round"
        return (
            f"Even among the {len(self.tied)} heads that are tied on the cache the order there "
            f"{turned} after fine-tuning ({_said(self.tied_tau)})."
        )


def _said(tau: Estimate | None) -> str:
    return f"Kendall's tau {_numbers(tau)}" if tau else ""


def _numbers(tau: Estimate) -> str:
    return f"{tau.value:.2f}, 95% interval {tau.low:.2f} to {tau.high:.2f}"


def write_fidelity(study: Study, record: FidelityRecord) -> FidelityRecord:
    """Write the record and give it back."""
    write_record(study.folder / FIDELITY_FILE, record)
    return record


def read_fidelity(study: Study) -> FidelityRecord | None:
    """What was found out so far; `None` where it was never asked.

    Raises:
        RecordDamaged: It is not what was written.
    """
    path = study.folder / FIDELITY_FILE
    if not path.is_file():
        return None
    missing = ModelMissing(f"There is no {path}.", COMMAND)
    return read_record(path, FidelityRecord, missing, f"delete {path}, then {COMMAND}")
