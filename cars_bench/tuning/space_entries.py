"""One hyperparameter as a space file says it: read, and tried in the specs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cars_bench.documents import from_json, meant, to_json
from cars_bench.errors import UsageError
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.hyperparameters import (
    DEEPEST,
    KNOWN,
    LAYER_FIELDS,
    UNITS,
    Conditions,
    Hyperparameter,
    varied,
)
from cars_bench.yaml_text import YamlText

VARIED = "hyperparameters"
MEND = "mend the space file"
KEYS = {
    "int": {"type", "min", "max", "step", "log", "when"},
    "float": {"type", "min", "max", "step", "log", "when"},
    "choice": {"type", "values", "when"},
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a file says of one hyperparameter.

    Attributes:
        file: The file.
        name: Of the hyperparameter.
        said: What stands there.
        head: What it varies.
        training: The same of the training.
    """

    file: YamlText
    name: str
    said: Any
    head: HeadSpec
    training: TrainingSpec

    def parsed(self, earlier: dict[str, Hyperparameter]) -> Hyperparameter:
        """The hyperparameter; a condition names one of the earlier ones."""
        if self.name not in KNOWN:
            near = f"{meant(self.name, KNOWN)}known: {', '.join(sorted(KNOWN))}"
            raise self._error(f"is not a hyperparameter ({near})")
        if not isinstance(self.said, dict) or self.said.get("type") not in KEYS:
            raise self._error("needs a type: int, float or choice")
        kind = str(self.said["type"])
        for key in sorted(set(self.said) - KEYS[kind]):
            raise self._error(f"has an unknown key {key!r}")
        when = self._conditions(earlier)
        return self._choice(when) if kind == "choice" else self._number(kind, when)

    def _choice(self, when: Conditions) -> Hyperparameter:
        values = self.said.get("values")
        if not isinstance(values, list) or not values:
            raise self._error("needs values: a list that is not empty")
        self._try(values)
        return Hyperparameter(name=self.name, kind="choice", values=tuple(values), when=when)

    def _number(self, kind: str, when: Conditions) -> Hyperparameter:
        low = self._bound("min", kind)
        high = self._bound("max", kind)
        step = self.said.get("step")
        log = bool(self.said.get("log"))
        if low > high:
            raise self._error(f"has min {low} above max {high}")
        if log and low <= 0:
            raise self._error(f"is logarithmic and needs min above 0, got {low}")
        if step is not None and (not is_number(step, kind) or step <= 0):
            raise self._error(f"needs a step above 0, got {step!r}")
        if step is not None and log:
            raise self._error("has both step and log; keep one")
        self._try([low, high])
        return Hyperparameter(
            name=self.name, kind=kind, low=low, high=high, step=step, log=log, when=when
        )

    def _bound(self, key: str, kind: str) -> float:
        value = self.said.get(key)
        if not is_number(value, kind):
            raise self._error(f"needs {key}: a number of type {kind}, got {value!r}")
        found: float = value
        return found

    def _try(self, values: list[Any]) -> None:
        """Try values in the specs that they vary, so that no trial can fail on its range."""
        depth = {"depth": DEEPEST} if self.name in (*LAYER_FIELDS, *UNITS) else {}
        for value in values:
            try:
                for spec in varied(depth | {self.name: value}, self.head, self.training):
                    from_json(type(spec), to_json(spec))  # as the ledger reads it again
            except (UsageError, TypeError, ValueError) as error:
                raise self._error(f"cannot be {value!r}: {str(error).rstrip('.')}") from error

    def _conditions(self, earlier: dict[str, Hyperparameter]) -> Conditions:
        when = self.said.get("when") or {}
        if not isinstance(when, dict):
            raise self._error("has a when that is not a mapping of name: values")
        for other in when:
            if other not in earlier:
                raise self._error(f"depends on {other!r}, which is not defined above it")
        return tuple(
            (other, tuple(wanted if isinstance(wanted, list) else [wanted]))
            for other, wanted in when.items()
        )

    def _error(self, problem: str) -> UsageError:
        return self.file.error((VARIED, self.name), f"{self.name} {problem}", MEND)


def is_number(value: Any, kind: str = "float") -> bool:
    """Whether a value is a number of that kind; true and false are none."""
    wanted = int if kind == "int" else (int, float)
    return isinstance(value, wanted) and not isinstance(value, bool)
