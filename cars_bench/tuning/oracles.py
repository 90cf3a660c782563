"""KerasTuner's oracles, fed from the ledger and never from their own files.

KerasTuner's resume overwrites its state in place and can lose or falsify
trials; here an oracle lives in memory only, and after a restart `proposals`
walks it again, in order, through what the ledger says happened.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras_tuner
from keras_tuner import oracles

from cars_bench.tuning.hyperparameters import Hyperparameter, Values
from cars_bench.tuning.space import Space

OBJECTIVE = "val_top1"
KINDS = {
    "random": oracles.RandomSearchOracle,
    "bayesian": oracles.BayesianOptimizationOracle,
    "hyperband": oracles.HyperbandOracle,
    "grid": oracles.GridSearchOracle,
}
NEVER = 10**9
PRIVATE_PARTS = {
    "_save_trial": ("trial",),
    "_increment_bracket_num": (),
    "_get_num_brackets": (),
    "_get_size": ("bracket_num", "round_num"),
}
"""KerasTuner's own methods that this module overrides or calls, with their arguments.

Nothing promises that they stay, so `setup.cfg` bounds its version and a test watches them.
"""


class _InMemory:
    """Keeps an oracle from writing; the ledger does that."""

    def save(self) -> None:
        """Write nothing."""

    def _save_trial(self, trial: Any) -> None:
        """Write nothing."""


class _Waiting(Exception):
    """A bracket of Hyperband has trials on their way."""


class _OneBracket:
    """Hyperband that ends a bracket before it begins the next, so that brackets can be counted."""

    ongoing_trials: dict[str, str]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As Hyperband does, but idle where it would begin another bracket too soon."""
        try:
            return dict(super().populate_space(trial_id))  # type: ignore[misc]
        except _Waiting:
            return {"status": "IDLE"}

    def _increment_bracket_num(self) -> None:
        if self.ongoing_trials:
            raise _Waiting
        super()._increment_bracket_num()  # type: ignore[misc]


def _bracket_sizes(epochs: int) -> list[int]:
    """Trials over all rounds of each of Hyperband's brackets, by their number."""
    oracle = oracles.HyperbandOracle(max_epochs=epochs)
    return [
        sum(oracle._get_size(number, round_) for round_ in range(number + 1))
        for number in range(oracle._get_num_brackets())
    ]


class Proposer:
    """Asks an oracle for trials and tells it their results.

    The seed may be 0: KerasTuner takes 0 for "random", so it is shifted by one.
    """

    def __init__(self, space: Space, oracle: str, seed: int, epochs: int) -> None:
        bases: tuple[Any, ...] = (_InMemory, KINDS[oracle])
        options: dict[str, Any] = {"max_trials": NEVER}
        if oracle == "hyperband":
            bases = (_InMemory, _OneBracket, KINDS[oracle])
            options = {"max_epochs": epochs, "hyperband_iterations": NEVER}
        self._oracle = type("Oracle", bases, {})(
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            hyperparameters=declared(space),
            seed=seed + 1,
            max_consecutive_failed_trials=NEVER,
            **options,
        )
        self._oracle.verbose = 0
        self._choices = {
            item.name: item.values for item in space.hyperparameters if item.kind == "choice"
        }
        self._trials: dict[str, Any] = {}

    def propose(self, trial_id: str) -> Values | None:
        """Hyperparameters of the next trial; `None` when the oracle has no more now."""
        trial = self._oracle.create_trial(trial_id)
        if trial.status != "RUNNING":
            return None
        self._trials[trial_id] = trial
        return {
            name: self._as_declared(name, value)
            for name, value in trial.hyperparameters.values.items()
        }

    def _as_declared(self, name: str, value: Any) -> Any:
        """Give a choice its declared type back: KerasTuner turns booleans into 0 and 1."""
        return next((item for item in self._choices.get(name, ()) if item == value), value)

    def tell(self, trial_id: str, score: float | None) -> None:
        """Report a trial's validation top-1, or `None` for a failed one."""
        trial = self._trials[trial_id]
        if score is None:
            trial.status = "FAILED"
        else:
            self._oracle.update_trial(trial.trial_id, {OBJECTIVE: score})
            trial.status = "COMPLETED"
        self._oracle.end_trial(trial)

    def overrule(self, trial_id: str, values: Values) -> None:
        """Replace a proposal by the one that the ledger holds."""
        self._trials[trial_id].hyperparameters.values = dict(values)


class SingleTrial:
    """The oracle of a space that varies nothing: one trial, whatever its kind."""

    def __init__(self) -> None:
        self._given = False

    def propose(self, trial_id: str) -> Values | None:
        """No values, once."""
        if self._given:
            return None
        self._given = True
        return {}

    def tell(self, trial_id: str, score: float | None) -> None:
        """Nothing depends on the score."""

    def overrule(self, trial_id: str, values: Values) -> None:
        """There is nothing that could differ."""


@dataclass(frozen=True)
class Bracket:
    """One of Hyperband's brackets (Li et al. 2018).

    Attributes:
        number: Halvings it goes through; bracket 0 is plain random search.
        trials: Over all of its rounds.
    """

    number: int
    trials: int


def hyperband_brackets(epochs: int, trials: int) -> list[Bracket]:
    """The whole brackets that fit into `trials`, in the order in which they are run.

    Args:
        epochs: Upper bound on the epochs of a trial.
        trials: The study's total.
    """
    sizes = _bracket_sizes(epochs)
    left = trials
    fitting = list[Bracket]()
    for number in itertools.cycle(reversed(range(len(sizes)))):
        if sizes[number] > left:
            return fitting
        fitting.append(Bracket(number, sizes[number]))
        left -= sizes[number]
    return fitting


def declared(space: Space) -> keras_tuner.HyperParameters:
    """The space in KerasTuner's terms, declared before the search starts."""
    parameters = keras_tuner.HyperParameters()
    for item in space.hyperparameters:
        with ExitStack() as scopes:
            for name, wanted in item.when:
                scopes.enter_context(parameters.conditional_scope(name, list(wanted)))
            _declare(parameters, item)
    return parameters


def _declare(parameters: keras_tuner.HyperParameters, item: Hyperparameter) -> None:
    if item.kind == "choice":
        parameters.Choice(item.name, list(item.values))
        return
    sampling = "log" if item.log else "linear"
    if item.kind == "int":
        step = None if item.log else int(item.step or 1)
        parameters.Int(item.name, int(item.low), int(item.high), step=step, sampling=sampling)
    else:
        parameters.Float(item.name, item.low, item.high, step=item.step, sampling=sampling)
