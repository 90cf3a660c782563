"""The exception tree: exit codes, and what it says of itself."""

import inspect
import re

import pytest

from cars_bench import errors
from cars_bench.errors import CarsBenchError, TrialFailed

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, CarsBenchError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_drawn_tree_gives_each_error_its_exit_code(kind: type[CarsBenchError]) -> None:
    drawn = re.search(rf"\b{kind.__name__}\s+(\d+)", errors.__doc__ or "")
    assert drawn is not None
    assert int(drawn[1]) == kind.code


def test_an_error_carries_its_sentence_and_its_fix() -> None:
    error = CarsBenchError("It broke.", "mend it")
    assert (error.message, error.fix, str(error)) == ("It broke.", "mend it", "It broke.")


def test_a_failed_trial_never_ends_a_command() -> None:
    assert not issubclass(TrialFailed, CarsBenchError)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("auto", "'auto'"),
        ("x" * 10**6, f"'{'x' * 12}...{'x' * 13}'"),
        (16**5000, "a number of thousands of digits"),
        ("\x1b[31m", r"'\x1b[31m'"),
    ],
    ids=["short", "long", "huge", "escaped"],
)
def test_a_value_is_shown_as_a_message_can_hold_it(value: object, said: str) -> None:
    assert errors.shown(value) == said
