"""An experiment as data: `config.yml` of a folder, with the published scores beside it.

Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from cars_bench.cache.options import ExtractOptions
from cars_bench.data.policies import Policy, policy
from cars_bench.documents import FieldError, at_least, from_json, text_of, to_json, within
from cars_bench.errors import InputError, UsageError
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.tuning.space import Space, load_space, space_in
from cars_bench.workspace import NAME
from cars_bench.yaml_text import YamlText, parse_yaml

CONFIG_FILE = "config.yml"
RUNS = "runs"
"""An experiment's own workspace, in its folder; git leaves it out."""
FILES = (".yml", ".yaml")

C = TypeVar("C", bound="Choices")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A score that others published.

    Attributes:
        what: Which model, in words.
        split: `val` or `test`, as they called it.
        top1: In [0, 1].
        top5: The same; `None` where it was not told.
        note: What a reader should know of it.
    """

    what: str
    split: Literal["val", "test"]
    top1: float
    top5: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        within("top1", self.top1, 0.0, 1.0)
        within("top5", self.top5 or 0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the experiment came to where it was last measured.

    Attributes:
        score: Top-1 in [0, 1] of the chosen attempt.
        split: That it was measured on.
        low: Lower end of its 95% interval.
        high: Upper end.
        minutes: Wall time of the whole experiment.
        backbone: That it was measured with.
        machine: On what.
    """

    score: float
    split: Literal["val", "test"]
    low: float
    high: float
    minutes: float
    backbone: str
    machine: str = ""

    def __post_init__(self) -> None:
        within("low", self.low, 0.0, 1.0)
        within("high", self.high, self.low, 1.0)
        within("score", self.score, self.low, self.high)
        at_least("minutes", self.minutes, 0.0)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Options of a stage; what is `None` is not said."""

    def said(self) -> dict[str, Any]:
        """The options that are said."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in given.items() if value is not None}

    def over(self: C, below: C) -> C:
        """These, and the ones below where these say nothing."""
        return replace(below, **self.said())


@dataclass(frozen=True, kw_only=True)
class Data(Choices):
    """Options of `prepare`, by the names of its flags.

    Attributes:
        source: Folder or label file, from the experiment's folder; the command's SOURCE wins.
        split: `65/20/15`, or `column` for the source's own.
        seed: Of the split.
        crop: `none`, `boxes`, or `detector[:NAME]`.
        boxes: With pictures that stay whole: whose boxes are known, `source` or `detector[:NAME]`.
        detect_classes: Of the detector, with commas between.
        detect_threshold: Least score of a box that is taken.
        crop_margin: Share of the box that is added on each side.
        allow_missing: Go on without images that are missing.
    """

    source: str | None = None
    split: str | None = None
    seed: int | None = None
    crop: str | None = None
    boxes: str | None = None
    detect_classes: str | None = None
    detect_threshold: float | None = None
    crop_margin: float | None = None
    allow_missing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Features(Choices):
    """Options of `extract`, by the names of its flags.

    Attributes:
        backbone: Name in the catalogue.
        weights: `imagenet`, `none`, or a path.
        image_size: Side of the network's input in pixels.
        pooling: `avg`, `max` or `avgmax`.
        views: Views of each training image; view 0 is the plain image.
        augment: Policy of the views above 0: a name, a file in the folder, or itself.
        seed: Of those views.
        runtime: `auto`, `tensorflow` or `openvino`.
    """

    backbone: str | None = None
    weights: str | None = None
    image_size: int | None = None
    pooling: str | None = None
    views: int | None = None
    augment: str | Policy | None = None
    seed: int | None = None
    runtime: str | None = None

    def options(self, dataset: str | None = None) -> ExtractOptions:
        """As `extract` takes them; nothing that another extraction recorded matters."""
        return ExtractOptions(dataset=dataset, **self.said())


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How an attempt's head is finished, by the names of `finetune`'s flags.

    Attributes:
        recipe: A shipped name, a file in the folder, or the recipe itself.
        unfreeze: As `--unfreeze`; `None` leaves it to the recipe.
        warm_up: Start from the trained head; otherwise from a fresh one.
        live: Run the whole network on freshly decoded images.
        seed: Of the order, the views and a fresh head.
    """

    recipe: str | Recipe = "default"
    unfreeze: str | None = None
    warm_up: bool = True
    live: bool = False
    seed: int = 0

    def options(self, study: str, trial: str) -> FinetuneOptions:
        """As `finetune` takes them."""
        said = {item.name: getattr(self, item.name) for item in fields(self)}
        return FinetuneOptions(study=study, trial=trial, **said)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One way of doing it: features, a head or a search for one, and perhaps fine-tuning.

    Attributes:
        name: Unique in the experiment.
        summary: What is tried, in a sentence.
        data: What differs from the experiment's own.
        features: The same.
        space: A shipped name, a file in the folder, or the space itself.
        trials: Of the search; a space that varies nothing has one.
        oracle: `random`, `bayesian`, `hyperband` or `grid`.
        epochs: Upper bound a trial; `None` leaves it to the space.
        repeats: New seeds that the best five trials are trained again with.
        seed: Of the oracle and the trials.
        finetune: How the best head is finished; `None` leaves it as it is.
        measure: `test` reads the test split for this attempt whether or not it is chosen, since
            its published score is on that split.
        checks: Make the sanity checks of `check` on its cache, and keep what they saw.
        published: Scores of this very attempt.
    """

    name: str
    summary: str = ""
    data: Data = Data()
    features: Features = Features()
    space: str | dict[str, Any] = "default"
    trials: int = 1
    oracle: str = "random"
    epochs: int | None = None
    repeats: int = 0
    seed: int = 0
    finetune: Finish | None = None
    measure: Literal["val", "test"] = "val"
    checks: bool = False
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        at_least("trials", self.trials, 1)
        at_least("repeats", self.repeats, 0)
        if not NAME.fullmatch(self.name):
            raise FieldError(
                f"name cannot be {self.name!r}.",
                "use letters, digits, dots, dashes, underscores",
                ("name",),
            )


@dataclass(frozen=True, kw_only=True)
class Config:
    """What `config.yml` says.

    Attributes:
        summary: What the experiment asks, in a sentence or two.
        published: Scores of the project as a whole.
        expected: What it came to here.
        shortened: What differs from the published text, and why; a sentence each.
        data: Options of `prepare`.
        features: Options of `extract`.
        attempts: What is tried, in order; the best on validation is chosen.
    """

    summary: str
    published: tuple[Published, ...] = ()
    expected: Expected | None = None
    shortened: tuple[str, ...] = ()
    data: Data = Data()
    features: Features = Features()
    attempts: tuple[Attempt, ...] = ()

    def __post_init__(self) -> None:
        names = [item.name for item in self.attempts]
        if not names:
            raise FieldError("attempts must not be empty.", "add one", ("attempts",))
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise FieldError(
                f"attempts holds the name {twice!r} twice.", "rename one", ("attempts",)
            )


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One attempt with all that it does.

    Attributes:
        attempt: As it stands in the config.
        data: With the experiment's own.
        features: The same; files have whole paths.
        space: The space.
        finish: How its head is finished; files have whole paths.
    """

    attempt: Attempt
    data: Data
    features: Features
    space: Space
    finish: Finish | None

    @property
    def name(self) -> str:
        """Of the attempt."""
        return self.attempt.name

    @property
    def convolves(self) -> bool:
        """Whether its head is a network with convolutions of its own."""
        return bool((self.space.document.get("head") or {}).get("stages"))

    def searched(self) -> dict[str, Any]:
        """Everything that a study depends on, as plain values: attempts alike share one."""
        features = to_json(self.features) | {"augment": to_json(self.features.options().policy)}
        attempt = self.attempt
        return {
            "data": to_json(self.data),
            "features": features,
            "space": self.space.document,
            "search": [attempt.trials, attempt.oracle, attempt.epochs, attempt.repeats,
                       attempt.seed],
        }  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Everything that its result depends on, as plain values."""
        finish = self.finish and self.finish.options("", "").resolved()
        kept = self.finish and [to_json(finish), self.finish.warm_up, self.finish.seed]
        return self.searched() | {"finetune": kept, "checks": self.attempt.checks}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment's folder, and what its config says, ready to run.

    Attributes:
        folder: The folder.
        config: As read.
        planned: The attempts, in order.
    """

    folder: Path
    config: Config
    planned: tuple[Planned, ...]

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def backbone(self) -> str:
        """The experiment's own, which attempts may replace."""
        return self.config.features.options().backbone

    @property
    def runs(self) -> Path:
        """The workspace in its own folder."""
        return self.folder / RUNS

    def source(self, given: Path | None) -> Path:
        """Where the pictures are.

        Args:
            given: What the command line said, from the current folder.

        Raises:
            InputError: Nobody said, or nothing is there.
        """
        named = self.config.data.source
        found = given or (self.folder / named if named else None)
        if found is None:
            raise InputError(
                f"{self.folder / CONFIG_FILE} does not say where the pictures are.",
                f"cars-bench run {self.folder} SOURCE",
            )
        if not found.expanduser().exists():
            raise InputError(
                f"There is nothing at {found}.", f"cars-bench run {self.folder} SOURCE"
            )
        return found.expanduser().resolve()


def load_experiment(path: Path) -> Experiment:
    """Read an experiment's folder, or its `config.yml`.

    Raises:
        InputError: There is none.
        UsageError: It has an unknown or wrong field; names file, line and field.
    """
    folder = path.parent if path.suffix in FILES else path
    folder = folder.expanduser().resolve()
    file = path if path.suffix in FILES else folder / CONFIG_FILE
    if not file.is_file():
        raise InputError(f"There is no experiment in {path}.", "cars-bench run experiments/NAME")
    return read_experiment(text_of(file), folder, str(file))


def read_experiment(text: str, folder: Path, source: str = CONFIG_FILE) -> Experiment:
    """The experiment that a config's text describes.

    Args:
        text: YAML.
        folder: Where the files lie that it names.
        source: Name of the file, for messages.

    Raises:
        UsageError: As `load_experiment`.
    """
    file = parse_yaml(text, source)
    try:
        config = from_json(Config, file.value)
    except FieldError as error:
        raise file.error(error.place, error.message, error.fix) from error
    planned = [_planned(file, folder, config, index) for index in range(len(config.attempts))]
    return Experiment(folder=folder, config=config, planned=tuple(planned))


def _planned(file: YamlText, folder: Path, config: Config, index: int) -> Planned:
    attempt = config.attempts[index]
    place = ("attempts", str(index))
    try:
        features = attempt.features.over(config.features)
        features = replace(features, augment=_beside(folder, features.augment))
        finish = attempt.finetune
        if finish:
            finish = _finish(folder, finish)
            policy(finish.options("", "").resolved().augment)
        planned = Planned(
            attempt=attempt,
            data=replace(attempt.data.over(config.data), source=None),
            features=features,
            space=_space(file, folder, place),
            finish=finish,
        )
        planned.document()
    except UsageError as error:
        if error.message.startswith(file.source):
            raise
        raise file.error(place, f"{attempt.name}: {error.message}", error.fix) from error
    return planned


def _space(file: YamlText, folder: Path, place: tuple[str, ...]) -> Space:
    said = file.value["attempts"][int(place[1])].get("space", Attempt.space)
    return (
        space_in(file, (*place, "space"))
        if isinstance(said, dict)
        else load_space(str(_beside(folder, said)))
    )


def _finish(folder: Path, finish: Finish) -> Finish:
    recipe = finish.recipe
    if isinstance(recipe, Recipe):
        recipe = replace(recipe, augment=str(_beside(folder, recipe.augment)))
    return replace(finish, recipe=_beside(folder, recipe))


def _beside(folder: Path, said: Any) -> Any:
    """A file's whole path where a name is one of the folder's; everything else as it is."""
    is_file = isinstance(said, str) and said.endswith(FILES)
    return str(folder / said) if is_file else said
