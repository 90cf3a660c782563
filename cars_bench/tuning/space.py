"""Search spaces: YAML files of named hyperparameters, and what the names mean.

A space may hold a head and a training in full, which the hyperparameters vary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from cars_bench.documents import FieldError, from_json, meant, named_text, to_json
from cars_bench.errors import UsageError
from cars_bench.training.specs import (
    DenseLayer,
    HeadSpec,
    Schedule,
    TrainingSpec,
    refuse_mixed_boxes,
)
from cars_bench.yaml_text import YamlText, parse_yaml

DEEPEST = 8
LAYER_FIELDS = ("activation", "batch_norm", "dropout")
HEAD_FIELDS = {
    "normalisation": "normalisation",
    "features_dropout": "dropout",
    "noise": "noise",
    "l1": "l1",
    "l2": "l2",
    "box": "box",
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
        "box_weight",
        "box_loss",
    )
} | {"sgd_learning_rate": "learning_rate"}
UNITS = tuple(f"units_{index}" for index in range(1, DEEPEST + 1))
KNOWN = {"depth", "schedule", *UNITS, *LAYER_FIELDS, *HEAD_FIELDS, *TRAINING_FIELDS}
KEYS = {
    "int": {"type", "min", "max", "step", "log", "when"},
    "float": {"type", "min", "max", "step", "log", "when"},
    "choice": {"type", "values", "when"},
}

PACKAGE = "cars_bench.tuning"
FOLDER = "spaces"
VARIED = "hyperparameters"
HEAD = "head"
TRAINING = "training"
PARTS = ("name", "fixed", HEAD, TRAINING, VARIED)
MEND = "mend the space file"

T = TypeVar("T")
Values = dict[str, Any]
Conditions = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True, kw_only=True)
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
    when: Conditions = ()


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space.

    Attributes:
        name: Of the space.
        hyperparameters: Its dimensions, none for a single trial; a condition names an earlier one.
        fixed: Hyperparameters that do not vary.
        document: The file as read, kept in the study.
        head: What the hyperparameters vary.
        training: The same of the training.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    fixed: Values
    document: dict[str, Any]
    head: HeadSpec = field(default_factory=HeadSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)

    @property
    def epochs(self) -> int:
        """Upper bound on the epochs of a trial, where nothing varies it."""
        return int(self.fixed.get("epochs", self.training.epochs))

    def specs(self, values: Values) -> tuple[HeadSpec, TrainingSpec]:
        """The head and the training of one proposal; what is fixed gives way to it."""
        return specs_of({**self.fixed, **values}, self.head, self.training)


def load_space(name_or_path: str) -> Space:
    """Read a shipped space by name, or a YAML file.

    Raises:
        UsageError: The file is missing or wrong; names the line and the field.
    """
    return parse_space(named_text("space", name_or_path, PACKAGE, FOLDER), name_or_path)


def parse_space(text: str, source: str = "space") -> Space:
    """Read a space from YAML text.

    Raises:
        UsageError: As `load_space`.
    """
    return _space(parse_yaml(text, source))


def space_of(document: Values) -> Space:
    """The space that a study keeps as it was read."""
    return _space(YamlText("the study's space", document, {}))


def space_in(file: YamlText, place: tuple[str, ...]) -> Space:
    """The space that stands as a mapping inside another file.

    Args:
        file: The file.
        place: Names of the fields down to it.

    Raises:
        UsageError: As `load_space`, with the line in that file.
    """
    value: Any = file.value
    for name in place:
        value = value[int(name)] if isinstance(value, list) else value[name]
    depth = len(place)
    below = {key[depth:]: line for key, line in file.lines.items() if key[:depth] == place}
    return _space(YamlText(file.source, value, below))


def _space(file: YamlText) -> Space:
    for key in sorted(set(file.value) - set(PARTS)):
        near = f"{meant(key, PARTS)}{MEND}"
        raise file.error((key,), f"{key} is not known ({', '.join(PARTS)})", near)
    head = _spec(file, HEAD, HeadSpec)
    training = _spec(file, TRAINING, TrainingSpec)
    varied = file.value.get(VARIED)
    if varied is None and HEAD in file.value:
        varied = {}
    if not isinstance(varied, dict):
        raise file.error((VARIED,), f"{VARIED} is missing or not a mapping", MEND)
    parsed: dict[str, Hyperparameter] = {}
    for name, entry in varied.items():
        parsed[name] = _Entry(file, name, entry).parsed(parsed)
    space = Space(
        name=str(file.value.get("name", Path(file.source).stem)),
        hyperparameters=tuple(parsed.values()),
        fixed=_fixed(file, head, training),
        document=file.value,
        head=head,
        training=training,
    )
    _refuse_idle(file, space)
    return space


def _spec(file: YamlText, part: str, kind: type[T]) -> T:
    """The head or the training that a file holds in full; the defaults without one."""
    try:
        return from_json(kind, file.value.get(part) or {})
    except FieldError as error:
        raise file.error((part, *error.place), error.message, error.fix) from error


def _refuse_idle(file: YamlText, space: Space) -> None:
    """Refuse units of a layer that the head does not have, and that no depth adds."""
    varied = [item.name for item in space.hyperparameters]
    if "depth" in (*varied, *space.fixed) or HEAD not in file.value:
        return
    for name in UNITS[len(space.head.layers) :]:
        if name in varied:
            said = f"{name} is of a layer that the head does not have"
            raise file.error((VARIED, name), said, "add the layer to the head, or a depth")


def specs_of(
    values: Values, head: HeadSpec | None = None, training: TrainingSpec | None = None
) -> tuple[HeadSpec, TrainingSpec]:
    """The head and the training that a set of hyperparameter values means.

    Args:
        values: By name.
        head: What they vary; its layers give way to a `depth`.
        training: The same of the training.

    Raises:
        UsageError: A value is out of its range.
    """
    head = head or HeadSpec()
    training = training or TrainingSpec()
    head = replace(head, layers=_layers(values, head), **_renamed(values, HEAD_FIELDS))
    training = replace(training, **_renamed(values, TRAINING_FIELDS))
    if "schedule" in values:
        schedule = _scheduled(str(values["schedule"]), training)
        training = replace(training, schedule=schedule)
    refuse_mixed_boxes(head.box, training)
    return head, training


def _layers(values: Values, head: HeadSpec) -> tuple[DenseLayer, ...]:
    common = {key: values[key] for key in LAYER_FIELDS if key in values}
    if "depth" in values:
        names = UNITS[: int(values["depth"])]
        return tuple(DenseLayer(int(values.get(name, 256)), **common) for name in names)
    return tuple(
        replace(layer, units=int(values.get(name, layer.units)), **common)
        for name, layer in zip(UNITS, head.layers, strict=False)
    )


def _scheduled(kind: str, training: TrainingSpec) -> Schedule:
    """A schedule of this kind: the training's own shape, else one that follows its peak."""
    if training.schedule != Schedule():
        return replace(training.schedule, kind=kind)
    peak = training.learning_rate
    # The published piecewise rates start at 0.001; keep their shape at any peak.
    values = tuple(peak * share for share in (1.0, 0.5, 0.05, 0.01))
    return Schedule(kind=kind, minimum=peak / 10, values=values, warmup_epochs=1.0)


def _renamed(values: Values, names: dict[str, str]) -> Values:
    return {field: values[name] for name, field in names.items() if name in values}


def _fixed(file: YamlText, head: HeadSpec, training: TrainingSpec) -> Values:
    fixed = file.value.get("fixed") or {}
    if not isinstance(fixed, dict):
        raise file.error(("fixed",), "fixed is not a mapping", MEND)
    for name in fixed:
        if name not in KNOWN:
            said = f"{name} is not a hyperparameter"
            raise file.error(("fixed", name), said, f"{meant(name, KNOWN)}{MEND}")
    try:
        specs_of(fixed, head, training)
    except (UsageError, TypeError, ValueError) as error:
        raise file.error(("fixed",), f"fixed: {error}", MEND) from error
    return dict(fixed)


@dataclass(frozen=True)
class _Entry:
    """What a file says of one hyperparameter."""

    file: YamlText
    name: str
    said: Any

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
        if step is not None and (not _is_number(step, kind) or step <= 0):
            raise self._error(f"needs a step above 0, got {step!r}")
        if step is not None and log:
            raise self._error("has both step and log; keep one")
        self._try([low, high])
        return Hyperparameter(
            name=self.name, kind=kind, low=low, high=high, step=step, log=log, when=when
        )

    def _bound(self, key: str, kind: str) -> float:
        value = self.said.get(key)
        if not _is_number(value, kind):
            raise self._error(f"needs {key}: a number of type {kind}, got {value!r}")
        found: float = value
        return found

    def _try(self, values: list[Any]) -> None:
        """Try values in the specs, so that no trial can fail on its range."""
        depth = {"depth": 1} if self.name in (*LAYER_FIELDS, "units_1") else {}
        for value in values:
            try:
                for spec in specs_of(depth | {self.name: value}):
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


def _is_number(value: Any, kind: str) -> bool:
    wanted = int if kind == "int" else (int, float)
    return isinstance(value, wanted) and not isinstance(value, bool)
