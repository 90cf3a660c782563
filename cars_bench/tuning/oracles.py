"""KerasTuner's oracles, fed from the ledger and never from their own files.

KerasTuner's resume overwrites its state in place and can lose or falsify
trials; here an oracle lives in memory only, and after a restart it is rebuilt
by telling it again, in order, what the ledger says happened.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import keras_tuner
from keras_tuner import oracles

from cars_bench.errors import UsageError
from cars_bench.tuning.ledger import Event
from cars_bench.tuning.space import Hyperparameter, Space, Values

OBJECTIVE = "val_top1"
KINDS = {
    "random": oracles.RandomSearchOracle,
    "bayesian": oracles.BayesianOptimizationOracle,
    "hyperband": oracles.HyperbandOracle,
    "grid": oracles.GridSearchOracle,
}
NEVER = 10**9


class _InMemory:
    """Keeps an oracle from writing; the ledger does that."""

    def save(self) -> None:
        """Write nothing."""

    def _save_trial(self, trial: Any) -> None:
        """Write nothing."""


class Proposer:
    """Asks an oracle for trials and tells it their results.

    The seed may be 0: KerasTuner takes 0 for "random", so it is shifted by one.
    """

    def __init__(self, space: Space, oracle: str, seed: int, epochs: int) -> None:
        if oracle not in KINDS:
            raise UsageError(f"There is no oracle {oracle!r}.", f"choose one of {', '.join(KINDS)}")
        options: dict[str, Any] = {"max_epochs": epochs} if oracle == "hyperband" else {}
        if oracle != "hyperband":
            options["max_trials"] = NEVER
        kind = type("Oracle", (_InMemory, KINDS[oracle]), {})
        self._oracle = kind(
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

    def replay(self, events: list[Event]) -> None:
        """Bring the oracle to where the ledger's events left it.

        A proposal that comes out differently (another version of KerasTuner)
        is overruled by the recorded one: the ledger is the truth.
        """
        for event in events:
            if event.get("kind") == "probe" or event["trial_id"].startswith("probe-"):
                continue
            if event["event"] == "proposed":
                self.propose(event["trial_id"])
                self._trials[event["trial_id"]].hyperparameters.values = dict(event["values"])
            elif event["event"] in ("completed", "failed"):
                self.tell(event["trial_id"], event.get("score"))


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
