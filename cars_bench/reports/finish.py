"""Fine-tuning as plain numbers: curves and accuracies with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cars_bench.reports.inputs import Epoch, Json, Run, Sources
from cars_bench.reports.mistakes import Gain
from cars_bench.reports.tables import policy, size
from cars_bench.reports.verdict import Baseline, score_rung

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunFacts:
    """One fine-tuning run.

    Attributes:
        chosen: It is the one the verdict speaks of (best on validation).
        accuracies: Frozen and fine-tuned, on each split that was measured.
        unfrozen: What was unfrozen before the first epoch; empty where nothing was.
        backbone_rate: Rate of the unfrozen layers as a share of the head's.
        training_seconds: Wall time of all epochs.
        seconds: Wall time of the run's last session: of all of it, unless it was resumed.
        facts: (name, value) pairs for people.
        boundary: The same of the second cache, which it was trained from; empty where it was not.
    """

    name: str
    trial_id: str
    chosen: bool
    best_epoch: int | None
    history: tuple[Epoch, ...]
    accuracies: tuple[Baseline, ...]
    unfrozen: str
    backbone_rate: float
    training_seconds: float | None
    seconds: float | None
    facts: Pairs
    boundary: Pairs


def run_facts(sources: Sources) -> tuple[RunFacts, ...]:
    """Every run of the study, the chosen one first."""
    chosen = sources.run
    facts = [_facts(run, run is chosen) for run in sources.runs]
    return tuple(sorted(facts, key=lambda run: not run.chosen))


def _facts(run: Run, chosen: bool) -> RunFacts:
    record, unfreeze = run.record, run.record.get("unfreeze", {})
    return RunFacts(
        name=run.name,
        trial_id=str(record.get("trial_id", "")),
        chosen=chosen,
        best_epoch=record.get("best_epoch"),
        history=run.history,
        accuracies=tuple(_accuracies(run)),
        unfrozen=str(unfreeze.get("text", "")) if unfreeze.get("layers") else "",
        backbone_rate=float(record.get("training", {}).get("backbone_rate", 1.0)),
        training_seconds=record.get("training_seconds"),
        seconds=record.get("seconds"),
        facts=_said([*_what(run), *_how(record.get("training", {}))]),
        boundary=_said(_boundary(run)),
    )


def _accuracies(run: Run) -> list[Baseline]:
    names = {"frozen": "Frozen", "finetuned": "Fine-tuned"}
    return [
        score_rung(names[stage], stage, split, score)
        for split in ("val", "test")
        for stage in names
        if (score := run.accuracy(stage, split))
    ]


def _said(pairs: Sequence[tuple[str, str]]) -> Pairs:
    return tuple((name, value) for name, value in pairs if value)


def _what(run: Run) -> list[tuple[str, str]]:
    record, unfreeze = run.record, run.record.get("unfreeze", {})
    return [
        ("Head", str(record.get("trial_id", ""))),
        ("Unfrozen", str(unfreeze.get("text", ""))),
        ("Boundary", str(unfreeze.get("boundary") or "none")),
        ("Trainable parameters", _count(unfreeze.get("trainable_parameters"))),
        ("Trained on", _trained_on(record)),
        ("Epochs", f"{record.get('epochs', len(run.history))}, best {record.get('best_epoch')}"),
        ("Backend", str(record.get("backend", ""))),
    ]


def _trained_on(record: Json) -> str:
    if record.get("boundary_cache_key"):
        return "cached activations of the boundary"
    if not record.get("epochs") or "recipe" not in record:
        return ""
    return f"live images, augmented anew each time ({record['recipe']['augment']})"


def _how(training: Json) -> list[tuple[str, str]]:
    """The recipe; nothing of a run that did not record it."""
    if not training:
        return []
    rate, share = training["learning_rate"], training.get("backbone_rate", 1.0)
    decay = training.get("weight_decay") if training["optimizer"] == "adamw" else 0
    return [
        ("Optimizer", training["optimizer"]),
        ("Learning rate of the head", f"{rate:g}"),
        ("Learning rate of the backbone", f"{rate * share:g}, {share:g} of the head's"),
        ("Schedule", _schedule(training.get("schedule", {}))),
        ("Batch size", str(training.get("batch_size", ""))),
        ("Loss", str(training.get("loss", "")).replace("_", " ")),
        ("Label smoothing", _or_off(training.get("label_smoothing"))),
        ("Averaging of the weights", _or_off(training.get("averaging"))),
        ("Mixup", _or_off(training.get("mixup"))),
        ("Cutmix", _or_off(training.get("cutmix"))),
        ("Weight decay", _or_off(decay)),
        ("Clipping of gradients", _or_off(training.get("clip_norm"))),
    ]


def _schedule(schedule: Json) -> str:
    warmup = schedule.get("warmup_epochs") if schedule.get("kind") == "cosine" else 0
    return str(schedule.get("kind", "")) + (f", warm-up epochs {warmup:g}" if warmup else "")


def _or_off(value: float | None) -> str:
    return f"{value:g}" if value else "off"


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else ""


def _boundary(run: Run) -> list[tuple[str, str]]:
    """From the cache itself; where it was deleted, what the run recorded of it."""
    key, recipe = run.record.get("boundary_cache_key"), run.record.get("recipe", {})
    if not key:
        return []
    pairs = [("Output of", str(run.record.get("unfreeze", {}).get("boundary"))), ("Key", key)]
    if run.boundary is None:
        views, augment = str(recipe.get("views", "")), str(recipe.get("augment", ""))
        return [*pairs, ("Views of a training image", views), ("Augmentation", augment)]
    return [
        *pairs,
        ("Views of a training image", str(run.boundary.views("train"))),
        ("Augmentation", policy(run.boundary)),
        ("Records", f"{run.boundary.records:,}"),
        ("Size", size(run.boundary.bytes)),
    ]


@dataclass(frozen=True)
class Extremes:
    """The classes that fine-tuning changed most in one direction, biggest change first.

    Attributes:
        shown: Those that a figure shows.
        tied: How many of these changed exactly as the last one did.
        of: How many classes did, shown or not; above `tied`, the choice among them is arbitrary.
    """

    shown: tuple[Gain, ...]
    tied: int
    of: int

    @property
    def note(self) -> str:
        """What the figure must say where it shows only some of the classes that tie."""
        if self.of == self.tied:
            return ""
        return f"{self.tied} of {self.of} tied at {100 * self.shown[-1].change:+.0f} points"


def extremes(gains: Sequence[Gain], count: int) -> Extremes:
    """The first `count` of the classes that changed, most first; none where none did."""
    shown = tuple(gains[:count])
    ties = [gain for gain in gains if shown and _points(gain) == _points(shown[-1])]
    return Extremes(shown, sum(gain in shown for gain in ties), len(ties))


def _points(gain: Gain) -> float:
    return round(gain.change, 9)
