from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from cars_bench.documents import from_json, to_json
from cars_bench.errors import HandoffFailed
from cars_bench.finetune.handoff import (
    Drift,
    Handoff,
    measure_handoff,
    measure_whole,
    require_handoff,
    require_whole,
)
from cars_bench.training.answers import Answers

Judge = Callable[["Case"], str | None]

NO_DRIFT = Drift(12, 0.0, 1.0)
NAMES = ("a network", "a runtime in float32")
LABELS = np.arange(12) % 4
WITNESS = np.eye(4, dtype=np.float32)[LABELS]


def measured(recomputed: np.ndarray, assembled: np.ndarray, drift: Drift = NO_DRIFT) -> Handoff:
    """The proof of a head that got every image right on the cache."""
    said = {"recomputed": Answers(recomputed), "assembled": Answers(assembled)}
    return measure_handoff(Answers(WITNESS), LABELS, drift, **said)


def test_what_stays_as_it_was_passes() -> None:
    found = measured(WITNESS, WITNESS)
    require_handoff(found, *NAMES)
    assert (found.max_abs_diff, found.top1_agreement, found.assembled_agreement) == (0.0, 1.0, 1.0)
    assert (found.witness_top1, found.assembled_top1) == (1.0, 1.0)


def test_a_wrong_head_stops_it() -> None:
    with pytest.raises(HandoffFailed, match=r"differ by up to 0\.02"):
        require_handoff(measured(WITNESS + np.float32(0.02), WITNESS), *NAMES)


@pytest.mark.parametrize(
    ("drift", "assembled_is_right", "cause"),
    [
        (NO_DRIFT, True, "the head's weights changed"),
        (Drift(12, 1.0, 0.9), True, "a runtime in float32 is not what it was"),
        (Drift(12, 1.0, 0.9), False, "the image size or the weights"),
    ],
)
def test_the_likeliest_cause_is_named(drift: Drift, assembled_is_right: bool, cause: str) -> None:
    assembled = WITNESS if assembled_is_right else -WITNESS
    with pytest.raises(HandoffFailed, match=cause):
        require_handoff(measured(-WITNESS, assembled, drift), *NAMES)


@pytest.mark.parametrize(
    ("recomputed", "assembled", "said"),
    [
        (0.05, 0.0, "does not reproduce its boxes: their edges differ by up to 0.05"),
        (0.0, 0.3, "puts boxes elsewhere than the head on the cache"),
    ],
)
def test_boxes_that_move_stop_it(recomputed: float, assembled: float, said: str) -> None:
    boxes = np.tile(np.array([0.1, 0.2, 0.4, 0.5], np.float32), (12, 1))
    still = (Answers(WITNESS, boxes), LABELS, NO_DRIFT)
    require_handoff(measure_handoff(*still, *[Answers(WITNESS, boxes)] * 2), *NAMES)
    moved = [Answers(WITNESS, boxes + np.float32(by)) for by in (recomputed, assembled)]
    found = measure_handoff(*still, *moved)
    assert from_json(Handoff, to_json(found)) == found
    with pytest.raises(HandoffFailed, match=said):
        require_handoff(found, *NAMES)


def test_a_fall_of_all_images_stops_it() -> None:
    with pytest.raises(HandoffFailed, match=r"100\.0 percentage points less accurate"):
        require_handoff(measured(WITNESS, -WITNESS), *NAMES)


@dataclass(frozen=True)
class Case:
    """Two models' answers to the same images: how many the second lost and won."""

    images: int
    lost: int
    won: int = 0

    @property
    def labels(self) -> np.ndarray:
        return np.arange(self.images) % 4

    @property
    def before(self) -> np.ndarray:
        """The first is right but for the images that the second wins, which come last."""
        wrong = np.arange(self.images) >= self.images - self.won
        return np.eye(4, dtype=np.float32)[(self.labels + wrong) % 4]

    @property
    def after(self) -> np.ndarray:
        wrong = np.arange(self.images) < self.lost
        return np.eye(4, dtype=np.float32)[(self.labels + wrong) % 4]


WITHIN_A_POINT = [Case(120, 0), Case(120, 1), Case(2000, 20), Case(120, 0, 30)]
MAYBE_CHANCE = [Case(80, 1), Case(120, 4), Case(120, 5), Case(120, 12, 8)]
WORSE = [Case(120, 8), Case(120, 6), Case(1600, 40, 8)]


def handed_off(case: Case) -> str | None:
    drift = Drift(case.images, 0.0, 1.0)
    found = measure_handoff(
        Answers(case.before),
        case.labels,
        drift,
        recomputed=Answers(case.before),
        assembled=Answers(case.after),
    )
    assert (found.only_witness_right, found.only_assembled_right) == (case.lost, case.won)
    return require_handoff(found, *NAMES)


def finished(case: Case) -> str | None:
    found = measure_whole(Answers(case.before), Answers(case.after), case.labels)
    assert (found.only_trained_right, found.only_whole_right) == (case.lost, case.won)
    return require_whole(found)


@pytest.mark.parametrize("judge", [handed_off, finished])
@pytest.mark.parametrize("case", WITHIN_A_POINT, ids=str)
def test_a_loss_within_a_point_is_not_worth_a_word(judge: Judge, case: Case) -> None:
    assert judge(case) is None


@pytest.mark.parametrize("judge", [handed_off, finished])
@pytest.mark.parametrize("case", MAYBE_CHANCE, ids=str)
def test_a_larger_loss_that_may_be_chance_is_a_warning(judge: Judge, case: Case) -> None:
    warning = judge(case)
    assert warning
    assert f"{100 * (case.lost - case.won) / case.images:.1f} percentage points less" in warning
    assert f"({case.lost} lost, {case.won} won, McNemar p " in warning
    assert warning.endswith("so the run goes on.")


@pytest.mark.parametrize("judge", [handed_off, finished])
@pytest.mark.parametrize("case", WORSE, ids=str)
def test_a_larger_loss_that_is_not_chance_stops_it(judge: Judge, case: Case) -> None:
    with pytest.raises(HandoffFailed, match="percentage points less accurate"):
        judge(case)


def test_a_proof_from_before_the_images_were_counted_is_read() -> None:
    document = to_json(measured(WITNESS, WITNESS))
    for name in ("only_witness_right", "only_assembled_right", "p_value"):
        del document[name]
    assert from_json(Handoff, document).p_value is None


def test_a_finished_model_is_compared_with_its_trained_part() -> None:
    trained = np.eye(4, dtype=np.float32)
    labels = np.arange(4)
    found = measure_whole(Answers(trained), Answers(trained + np.float32(0.001)), labels)
    assert (found.top1_agreement, found.trained_top1, found.whole_top1) == (1.0, 1.0, 1.0)
    assert found.max_abs_diff == pytest.approx(0.001, rel=1e-3)
    assert (found.images, found.p_value) == (4, 1.0)
