"""The order in which an oracle is asked and told: by results alone, never by timing.

Trial n is proposed when exactly the trials up to n - window have been told, in
the order of their numbers.  So one worker or four, stopped and resumed or
not, a search proposes the same trials; going on after a restart is the same
walk with the results that the ledger already holds.
"""

from __future__ import annotations

from typing import Protocol

from cars_bench.tuning.hyperparameters import Values


class Oracle(Protocol):
    """What is asked for trials and told their results."""

    def propose(self, trial_id: str) -> Values | None:
        """Values of the next trial; `None` while it has none to give."""

    def overrule(self, trial_id: str, values: Values) -> None:
        """Replace a proposal by the one that was run."""

    def tell(self, trial_id: str, score: float | None) -> None:
        """A trial's score, `None` for a failed one."""


def trial_name(number: int) -> str:
    """The id of the trial with this number."""
    return f"t{number:04d}"


class Proposals:
    """Walks an oracle through `total` trials.

    Args:
        oracle: Asked and told.
        window: Trials that may be on their way at once, at least 1.
        total: Upper bound on the trials.
        known: Values of the trials that the ledger holds already, in order.
    """

    def __init__(self, oracle: Oracle, window: int, total: int, known: list[Values]) -> None:
        self.oracle = oracle
        self.window = window
        self.total = total
        self.known = known
        self.exhausted = False
        self._asked = 0
        self._told = 0
        self._needed = 0
        self._scores: dict[int, float | None] = {}

    def end(self, number: int, score: float | None) -> None:
        """Take note of a result; the oracle hears of it when its turn comes."""
        self._scores[number] = score

    def next(self) -> tuple[int, Values] | None:
        """Number and values of the next trial.

        `None` means that a running trial must end first, or that there are no
        more (`exhausted`, or `total` were given).
        """
        while self._asked < self.total and not self.exhausted:
            self._needed = max(self._needed, self._asked - self.window + 1)
            if not self._tell():
                return None
            values = self.oracle.propose(trial_name(self._asked))
            if values is not None:
                return self._given(values)
            self.exhausted = self._told == self._asked
            self._needed = self._told + 1
        return None

    def _given(self, values: Values) -> tuple[int, Values]:
        number = self._asked
        self._asked += 1
        if number < len(self.known):
            # The ledger is the truth, whatever another version would have proposed.
            values = self.known[number]
            self.oracle.overrule(trial_name(number), values)
        return number, values

    def _tell(self) -> bool:
        """Tell the results that are due; whether all of them are there."""
        while self._told < self._needed:
            if self._told not in self._scores:
                return False
            self.oracle.tell(trial_name(self._told), self._scores[self._told])
            self._told += 1
        return True
