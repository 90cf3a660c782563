"""Inputs of a report with something changed, for tests of what it then says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cars_bench.evaluation.predictions import Predictions, score_of
from cars_bench.reports.inputs import Inputs


def with_record(inputs: Inputs, **fields: Any) -> Inputs:
    """With other fields in the record of the one run."""
    (run,) = inputs.runs
    return replace(inputs, runs=(replace(run, record=replace(run.record, **fields)),))


def with_study(inputs: Inputs, **fields: Any) -> Inputs:
    """With other fields in the record of the study."""
    study = replace(inputs.study, record=replace(inputs.study.record, **fields))
    return replace(inputs, study=study)


def with_card(inputs: Inputs, **fields: Any) -> Inputs:
    """With other fields in the card of the dataset."""
    dataset = replace(inputs.dataset, card=replace(inputs.dataset.card, **fields))
    return replace(inputs, dataset=dataset)


def with_row(inputs: Inputs, trial_id: str, **fields: Any) -> Inputs:
    """With other fields in the leaderboard's row of a trial."""
    board = tuple(
        replace(row, **fields) if row.trial_id == trial_id else row for row in inputs.board
    )
    return replace(inputs, board=board)


def with_trials(inputs: Inputs, **trials: Any) -> Inputs:
    """With other trials, by their ids, behind the leaderboard's rows."""
    board = tuple(replace(row, trial=trials.get(row.trial_id, row.trial)) for row in inputs.board)
    return replace(inputs, board=board)


def with_answers(inputs: Inputs, split: str, before: int, after: int) -> Inputs:
    """With so many images of a split named right by the frozen head, and by the finished model.

    The images that the one names right are among those of the other; the other split is left out.
    """
    changed = {
        (stage, split): _named(inputs.answers(stage, split), right)
        for stage, right in (("frozen", before), ("finetuned", after))
    }
    scores = {stage: {split: score_of(found)} for (stage, _), found in changed.items()}
    return replace(with_record(inputs, **scores), predictions=changed)


def _named(answers: Predictions | None, right: int) -> Predictions:
    """The same answers, of which the first `right` are made right and the others wrong."""
    assert answers is not None
    names = sorted(set(answers.true))
    return Predictions(
        tuple(
            replace(row, answers=_first(row.true if place < right else _other(names, row.true)),
                    probabilities=(0.9,))
            for place, row in enumerate(answers)
        )
    )  # fmt: skip


def _first(name: str) -> tuple[str]:
    return (name,)


def _other(names: list[str], true: str) -> str:
    return next(name for name in names if name != true)
