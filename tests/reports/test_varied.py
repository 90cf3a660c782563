from __future__ import annotations

import numpy as np
import pytest

from cars_bench.reports.varied import Hyperparameter, column, hyperparameters
from cars_bench.tuning.hyperparameters import Hyperparameter as Dimension
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.space import Space


def _number(values: dict[str, float], log: bool = False) -> Hyperparameter:
    return Hyperparameter(name="dropout", kind="number", log=log, low=0.0, high=1.0, values=values)


def test_an_inactive_number_stands_at_the_mean_of_the_active_ones():
    found = column(_number({"a": 0.2, "b": 0.6}), ["a", "b", "c"])
    np.testing.assert_allclose(found, [0.2, 0.6, 0.4])
    found = column(_number({"a": 1.0, "b": 100.0}, log=True), ["a", "b", "c"])
    np.testing.assert_allclose(np.exp(found), [1.0, 100.0, 10.0])


def test_an_inactive_choice_stands_at_the_mean_too_and_one_never_active_says_nothing():
    item = Hyperparameter(
        name="l2", kind="choice", options=("0", "1e-6"), values={"a": "0", "b": "1e-6"}
    )
    np.testing.assert_allclose(column(item, ["a", "b", "c"]), [0, 1, 0.5])
    np.testing.assert_allclose(column(item, ["c", "d"]), [0, 0])


def _space(dimension: Dimension) -> Space:
    return Space(name="drawn", hyperparameters=(dimension,), fixed={}, document={})


def _trial(number: int, score: float, **values: object) -> Trial:
    return Trial(
        trial_id=f"t{number}", number=number, values=values, status="completed", score=score
    )


def test_a_hyperparameter_that_never_varied_is_left_out():
    trials = [_trial(0, 0.1, rate=0.1, batch=64), _trial(1, 0.2, rate=0.2, batch=64)]
    assert [item.name for item in hyperparameters(trials, None)] == ["rate"]


@pytest.mark.parametrize(
    ("best", "edge"), [(1e-4, "low"), (1.1e-4, "low"), (1e-2, ""), (0.97, "high")]
)
def test_an_optimum_at_the_edge_of_a_log_range_is_flagged(best, edge):
    space = _space(Dimension(name="rate", kind="float", low=1e-4, high=1.0, log=True))
    trials = [_trial(0, 0.1, rate=0.05), _trial(1, 0.9, rate=best)]
    (found,) = hyperparameters(trials, space)
    assert (found.log, found.edge) == (True, edge)


def test_a_choice_keeps_the_order_of_the_space():
    space = _space(Dimension(name="optimizer", kind="choice", values=("sgd", "adam")))
    trials = [_trial(0, 0.1, optimizer="adam"), _trial(1, 0.2, optimizer="sgd")]
    (found,) = hyperparameters(trials, space)
    assert (found.kind, found.options) == ("choice", ("sgd", "adam"))


def _choices(name: str, values: list[object], *seen: object) -> Hyperparameter:
    """A choice of `values` that trials took as `seen`; the last one is the best."""
    space = _space(Dimension(name=name, kind="choice", values=tuple(values)))
    trials = [_trial(n, 0.1 + 0.1 * n, **{name: value}) for n, value in enumerate(seen)]
    (found,) = hyperparameters(trials, space)
    return found


@pytest.mark.parametrize(("best", "edge"), [(0.0, "limit"), (1e-6, ""), (1e-5, ""), (1e-4, "high")])
def test_a_choice_of_numbers_has_its_edges_at_the_first_and_last_choice(best, edge):
    found = _choices("l2", [0.0, 1e-6, 1e-5, 1e-4], 1e-5 if best == 1e-6 else 1e-6, best)
    assert found.edge == edge
    assert found.options[:4] == ("0", "1e-6", "1e-5", "0.0001")


def test_the_smallest_batch_is_an_edge_that_can_be_widened():
    found = _choices("batch_size", [32, 64, 128, 256], 64, 32)
    assert (found.edge, found.options) == ("low", ("32", "64", "128", "256"))


@pytest.mark.parametrize(
    ("values", "best"), [(["adam", "sgd"], "adam"), ([False, True], True), ([1, 2, 4, 0], 0)]
)
def test_choices_without_an_order_have_no_edge(values, best):
    assert _choices("choice", values, values[1], values[0], best).edge == ""


def test_nothing_below_nought_is_called_a_limit_not_an_edge():
    space = _space(Dimension(name="dropout", kind="float", low=0.0, high=0.5))
    trials = [_trial(0, 0.1, dropout=0.4), _trial(1, 0.2, dropout=0.0)]
    assert hyperparameters(trials, space)[0].edge == "limit"


def test_the_winner_decides_the_edge_though_another_score_is_higher():
    space = _space(Dimension(name="rate", kind="float", low=0.1, high=1.0))
    trials = [_trial(0, 0.1, rate=0.5), _trial(1, 0.9, rate=1.0)]
    assert hyperparameters(trials, space)[0].edge == "high"
    assert hyperparameters(trials, space, trials[0])[0].edge == ""
