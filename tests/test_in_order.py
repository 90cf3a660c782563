from __future__ import annotations

import pytest

from cars_bench.in_order import in_order


@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_results_come_in_order_and_no_more_than_so_many_are_begun_ahead(most: int) -> None:
    begun: list[int] = []
    taken: list[int] = []

    def begin(number: int):
        begun.append(number)
        return lambda: number

    for result in in_order(map(begin, range(7)), most):
        taken.append(result)
        assert len(begun) - len(taken) < most
    assert begun == taken == list(range(7))


def test_a_piece_that_fails_does_so_in_its_turn() -> None:
    def fail() -> int:
        raise ValueError("third")

    results = in_order([lambda: 1, lambda: 2, fail, lambda: 4], 3)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(results)
