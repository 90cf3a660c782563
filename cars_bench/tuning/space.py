"""Search spaces: YAML files of named hyperparameters, and what the names mean."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from cars_bench.errors import UsageError
from cars_bench.training.specs import DenseLayer, HeadSpec, Schedule, TrainingSpec

DEEPEST = 8
LAYER_FIELDS = ("activation", "batch_norm", "dropout")
HEAD_FIELDS = {
    "normalisation": "normalisation",
    "features_dropout": "dropout",
    "noise": "noise",
    "l2": "l2",
}
TRAINING_FIELDS = {
    name: name
    for name in (
        "optimizer",
        "batch_size",
        "epochs",
        "patience_epochs",
        "momentum",
        "weight_decay",
        "epsilon",
        "clip_norm",
        "loss",
        "label_smoothing",
        "focal_gamma",
        "sampling",
        "views",
        "mixup",
        "learning_rate",
    )
} | {"sgd_learning_rate": "learning_rate"}
UNITS = tuple(f"units_{index}" for index in range(1, DEEPEST + 1))
KNOWN = {"depth", "schedule", *UNITS, *LAYER_FIELDS, *HEAD_FIELDS, *TRAINING_FIELDS}
KEYS = {
    "int": {"type", "min", "max", "step", "log", "when"},
    "float": {"type", "min", "max", "step", "log", "when"},
    "choice": {"type", "values", "when"},
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Hyperparameter:
    """One named dimension of a space.

    Attributes:
        name: One of the names that `specs_of` understands.
        kind: `int`, `float` or `choice`.
        low: Smallest value of a number.
        high: Largest value of a number.
        step: Distance between values of a number; `None` for all of them.
        log: Sampled evenly in the logarithm.
        values: What a choice may be.
        when: Active only if each named hyperparameter has one of these values.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    values: tuple[Any, ...] = ()
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        name: Of the space.
        hyperparameters: Its dimensions; a condition names an earlier one.
        fixed: Hyperparameters that do not vary.
        document: The file as read, kept in the study.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    fixed: Values
    document: dict[str, Any]


def shipped_spaces() -> list[str]:
    """Names of the spaces that come with the package."""
    folder = resources.files("cars_bench.tuning") / "spaces"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_space(name_or_path: str) -> Space:
    """Read a shipped space by name, or a YAML file.

    Raises:
        UsageError: The file is missing or wrong; names the line and the field.
    """
    if name_or_path in shipped_spaces():
        file = resources.files("cars_bench.tuning") / "spaces" / f"{name_or_path}.yaml"
        return parse_space(file.read_text(encoding="utf-8"), name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"There is no space {name_or_path!r}.",
            f"give a YAML file, or one of {', '.join(shipped_spaces())}",
        )
    return parse_space(path.read_text(encoding="utf-8"), str(path))


def parse_space(text: str, source: str = "space") -> Space:
    """Read a space from YAML text.

    Raises:
        UsageError: As `load_space`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{source}{line} is not YAML.", "mend the syntax") from error
    lines = _Lines(source, root)
    if not isinstance(document, dict) or not isinstance(document.get("hyperparameters"), dict):
        raise lines.error("hyperparameters", "is missing or not a mapping")
    for key in sorted(set(document) - {"name", "fixed", "hyperparameters"}):
        raise lines.error(key, "is not known (name, fixed, hyperparameters)")
    fixed = document.get("fixed") or {}
    for key in fixed:
        if key not in KNOWN:
            raise lines.error(key, "is not a hyperparameter")
    parsed: dict[str, Hyperparameter] = {}
    for key, entry in document["hyperparameters"].items():
        parsed[key] = _hyperparameter(key, entry, parsed, lines)
    name = str(document.get("name", Path(source).stem))
    space = Space(name, tuple(parsed.values()), fixed, document)
    try:
        specs_of(fixed)
    except UsageError as error:
        raise UsageError(f"{source}: fixed: {error.message}", error.fix) from error
    return space


def space_of(document: Values) -> Space:
    """The space that a study keeps as it was read."""
    return parse_space(yaml.safe_dump(document, sort_keys=False), "the study's space")


def specs_of(values: Values) -> tuple[HeadSpec, TrainingSpec]:
    """The head and the training that a set of hyperparameter values means.

    Raises:
        UsageError: A value is out of its range.
    """
    depth = int(values.get("depth", 0))
    common = {key: values[key] for key in LAYER_FIELDS if key in values}
    layers = tuple(DenseLayer(int(values.get(name, 256)), **common) for name in UNITS[:depth])
    head = HeadSpec(layers, **_renamed(values, HEAD_FIELDS))
    training = _renamed(values, TRAINING_FIELDS)
    if "schedule" in values:
        training["schedule"] = _schedule(str(values["schedule"]), training)
    return head, TrainingSpec(**training)


def _schedule(kind: str, training: Values) -> Schedule:
    peak = float(training.get("learning_rate", TrainingSpec.learning_rate))
    # The published piecewise rates start at 0.001; keep their shape at any peak.
    values = tuple(peak * share for share in (1.0, 0.5, 0.05, 0.01))
    return Schedule(kind, minimum=peak / 10, values=values, warmup_epochs=1.0)


def _renamed(values: Values, names: dict[str, str]) -> Values:
    return {field: values[name] for name, field in names.items() if name in values}


def _hyperparameter(
    name: str, entry: Any, earlier: dict[str, Hyperparameter], lines: _Lines
) -> Hyperparameter:
    if name not in KNOWN:
        raise lines.error(name, f"is not a hyperparameter (known: {', '.join(sorted(KNOWN))})")
    if not isinstance(entry, dict) or entry.get("type") not in KEYS:
        raise lines.error(name, "needs a type: int, float or choice")
    for key in sorted(set(entry) - KEYS[entry["type"]]):
        raise lines.error(name, f"has an unknown key {key!r}")
    when = _conditions(name, entry.get("when") or {}, earlier, lines)
    if entry["type"] == "choice":
        values = entry.get("values")
        if not isinstance(values, list) or not values:
            raise lines.error(name, "needs values: a list that is not empty")
        _checked_values(name, values, lines)
        return Hyperparameter(name, "choice", values=tuple(values), when=when)
    return _number(name, entry, when, lines)


def _number(
    name: str, entry: Values, when: tuple[tuple[str, tuple[Any, ...]], ...], lines: _Lines
) -> Hyperparameter:
    kinds = (int,) if entry["type"] == "int" else (int, float)
    for key in ("min", "max"):
        value = entry.get(key)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise lines.error(name, f"needs {key}: a number of type {entry['type']}, got {value!r}")
    low, high, step, log = entry["min"], entry["max"], entry.get("step"), entry.get("log")
    if low > high:
        raise lines.error(name, f"has min {low} above max {high}")
    if log and low <= 0:
        raise lines.error(name, f"is logarithmic and needs min above 0, got {low}")
    if step is not None and (not isinstance(step, kinds) or step <= 0):
        raise lines.error(name, f"needs a step above 0, got {step!r}")
    if step is not None and log:
        raise lines.error(name, "has both step and log; keep one")
    _checked_values(name, [low, high], lines)
    return Hyperparameter(name, entry["type"], low, high, step, bool(log), (), when)


def _checked_values(name: str, values: list[Any], lines: _Lines) -> None:
    """Try every bound in the specs, so that no trial can fail on its range."""
    for value in values:
        try:
            specs_of(
                {"depth": 1, name: value} if name in (*LAYER_FIELDS, "units_1") else {name: value}
            )
        except (UsageError, TypeError, ValueError) as error:
            raise lines.error(name, f"cannot be {value!r}: {str(error).rstrip('.')}") from error


def _conditions(
    name: str, when: Any, earlier: dict[str, Hyperparameter], lines: _Lines
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(when, dict):
        raise lines.error(name, "has a when that is not a mapping of name: values")
    for other in when:
        if other not in earlier:
            raise lines.error(name, f"depends on {other!r}, which is not defined above it")
    return tuple(
        (other, tuple(wanted if isinstance(wanted, list) else [wanted]))
        for other, wanted in when.items()
    )


class _Lines:
    """Finds the line of a field, for messages."""

    def __init__(self, source: str, root: yaml.Node | None) -> None:
        self.source = source
        self.lines: dict[str, int] = {}
        self._collect(root)

    def _collect(self, node: yaml.Node | None) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            self.lines.setdefault(str(key.value), key.start_mark.line + 1)
            self._collect(value)

    def error(self, field: str, problem: str) -> UsageError:
        """The one sentence that names file, line and field."""
        line = f" line {self.lines[field]}" if field in self.lines else ""
        return UsageError(f"{self.source}{line}: {field} {problem}.", "mend the space file")
