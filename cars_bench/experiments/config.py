"""An experiment as data: `config.yml` of a folder, with the published scores beside it.

Nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from cars_bench.cache.options import ExtractOptions
from cars_bench.data.policies import Policy
from cars_bench.documents import FieldError, at_least, meant, within
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.workspace import NAME

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
        score: Top-1 in [0, 1].
        split: That it was measured on.
        low: Lower end of its 95% interval.
        high: Upper end.
        minutes: Wall time of the whole experiment.
        backbone: That it was measured with.
        machine: On what.
        attempt: That was measured; empty for the one that is chosen.
    """

    score: float
    split: Literal["val", "test"]
    low: float
    high: float
    minutes: float
    backbone: str
    machine: str = ""
    attempt: str = ""

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
        labels: The label file, from the source's folder, where the source is not it.
        images: The folder that file names start from, from the source's folder.
        columns: Columns of the label file with path and class, such as `path,label`.
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
    labels: str | None = None
    images: str | None = None
    columns: str | None = None
    split: str | None = None
    seed: int | None = None
    crop: str | None = None
    boxes: str | None = None
    detect_classes: str | None = None
    detect_threshold: float | None = None
    crop_margin: float | None = None
    allow_missing: bool | None = None

    def paths(self, source: Path) -> dict[str, Path]:
        """Label file and image folder that are said, as whole paths.

        Args:
            source: A folder or a label file.
        """
        folder = source if source.is_dir() else source.parent
        said = {"labels": self.labels, "images": self.images}
        return {name: folder / path for name, path in said.items() if path is not None}


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
    runtime: Literal["auto", "tensorflow", "openvino"] | None = None

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
        space: A shipped name, a file in the folder, or the space itself; `winner_of: ATTEMPT` in
            it takes the head and the training that won the search of an attempt above, and
            `training:` beside it changes fields of that training.
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
    oracle: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    epochs: int | None = None
    repeats: int = 0
    seed: int = 0
    finetune: Finish | None = None
    measure: Literal["val", "test"] = "val"
    checks: bool = False
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        at_least("trials", self.trials, 1)
        at_least("epochs", 1 if self.epochs is None else self.epochs, 1)
        at_least("repeats", self.repeats, 0)
        at_least("seed", self.seed, 0)
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
        if self.expected and self.expected.attempt not in ("", *names):
            raise FieldError(
                f"expected names the attempt {self.expected.attempt!r}, which there is not.",
                f"{meant(self.expected.attempt, names)}write one of {', '.join(names)}",
                ("expected",),
            )
