from __future__ import annotations

from cars_bench.reports.confusion import Confusion, off_diagonal
from cars_bench.reports.mistakes import mistake_facts


def test_wrong_cells_are_named_most_first_with_the_size_of_the_true_class():
    matrix = [(0, 0, 5), (0, 1, 1), (1, 0, 3), (1, 1, 2), (2, 0, 1)]
    assert off_diagonal(matrix, ["a", "b", "c"]) == (
        Confusion("b", "a", 3, 5),
        Confusion("a", "b", 1, 6),
        Confusion("c", "a", 1, 1),
    )


def test_the_wrong_cells_of_a_study_hold_all_its_errors(finished):
    facts = mistake_facts(finished)
    assert sum(cell.count for cell in facts.confusions) == facts.wrong
