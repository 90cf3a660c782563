"""Fine-tuning as plain numbers: curves and accuracies with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.reports.sources import Epoch, Run, Sources
from cars_bench.reports.verdict import Rung, score_rung


@dataclass(frozen=True)
class RunFacts:
    """One fine-tuning run.

    Attributes:
        chosen: It is the one the verdict speaks of (best on validation).
        accuracies: Frozen and fine-tuned, on each split that was measured.
        facts: (name, value) pairs for people.
    """

    name: str
    trial_id: str
    chosen: bool
    best_epoch: int | None
    history: tuple[Epoch, ...]
    accuracies: tuple[Rung, ...]
    facts: tuple[tuple[str, str], ...]


def run_facts(sources: Sources) -> tuple[RunFacts, ...]:
    """Every run of the study, the chosen one first."""
    chosen = sources.run
    facts = [_facts(run, run is chosen) for run in sources.runs]
    return tuple(sorted(facts, key=lambda run: not run.chosen))


def _facts(run: Run, chosen: bool) -> RunFacts:
    record = run.record
    return RunFacts(
        name=run.name,
        trial_id=str(record.get("trial_id", "")),
        chosen=chosen,
        best_epoch=record.get("best_epoch"),
        history=run.history,
        accuracies=tuple(_accuracies(run)),
        facts=tuple(_pairs(run)),
    )


def _accuracies(run: Run) -> list[Rung]:
    names = {"frozen": "Frozen", "finetuned": "Fine-tuned"}
    return [
        score_rung(names[stage], stage, split, score)
        for split in ("val", "test")
        for stage in names
        if (score := run.accuracy(stage, split))
    ]


def _pairs(run: Run) -> list[tuple[str, str]]:
    record, unfreeze = run.record, run.record.get("unfreeze", {})
    training = record.get("training", {})
    pairs = [
        ("Head", str(record.get("trial_id", ""))),
        ("Unfrozen", str(unfreeze.get("text", ""))),
        ("Boundary", str(unfreeze.get("boundary") or "none")),
        ("Trainable parameters", _count(unfreeze.get("trainable_parameters"))),
        ("Optimizer", str(training.get("optimizer", ""))),
        ("Learning rate", str(training.get("learning_rate", ""))),
        ("Epochs", f"{record.get('epochs', len(run.history))}, best {record.get('best_epoch')}"),
        ("Backend", str(record.get("backend", ""))),
    ]
    return [(name, value) for name, value in pairs if value]


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else ""
