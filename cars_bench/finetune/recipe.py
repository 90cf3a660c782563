"""How a head is finished: recipes (YAML files), and what a command line changes of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cars_bench.documents import above, at_least, from_yaml, named_text, within
from cars_bench.errors import UsageError
from cars_bench.training.specs import TrainingSpec

DEFAULT = "default"
NOTHING = "none"
ALL = "all"
ALL_BUT = "all-but:"
LAST = "last:"
RECIPE_FILE = "recipe.yaml"
"""A recipe that has no file of its own, in the folder of the run that followed it."""
PACKAGE = "cars_bench.finetune"
FOLDER = "recipes"
STRIDE = 32


@dataclass(frozen=True)
class EarlyEpochs:
    """The first epochs on smaller images, which cost less (progressive learning, Tan & Le 2021).

    Attributes:
        share: Of all epochs, 0 to below 1; 0 is none.
        scale: Side of their images as a share of the others', above 0 to 1.
    """

    share: float = 0.0
    scale: float = 0.67

    def __post_init__(self) -> None:
        within("early.share", self.share, 0.0, 0.95)
        above("early.scale", self.scale, 0.0)
        within("early.scale", self.scale, 0.0, 1.0)

    def count(self, epochs: int) -> int:
        """How many of `epochs` epochs; the last one is never among them."""
        return max(0, min(round(self.share * epochs), epochs - 1))

    def pixels(self, image_size: int) -> int:
        """Side of their images: a multiple of the stride of 32 that networks shrink them by."""
        return min(image_size, max(STRIDE, round(self.scale * image_size / STRIDE) * STRIDE))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a head is finished.

    Attributes:
        unfreeze: As `--unfreeze`; `default` is the backbone's own top block.
        augment: Policy of the views above 0, by name or path.
        views: Cached views of each training image, the plain one included;
            `live` training, which never shows the same view twice, ignores it.
        live: Run the whole network on freshly decoded and augmented images.
        early: How many epochs begin on smaller images, where the head is on pooled features.
        training: Of the unfrozen part and the head.
    """

    unfreeze: str = DEFAULT
    augment: str = "default"
    views: int = 3
    live: bool = False
    early: EarlyEpochs = field(default_factory=EarlyEpochs)
    training: TrainingSpec = field(default_factory=TrainingSpec)

    def __post_init__(self) -> None:
        at_least("views", self.views, 1)


def load_recipe(name_or_path: str | Path = DEFAULT) -> Recipe:
    """Read a shipped recipe by name, or a YAML file.

    Raises:
        UsageError: The file is missing, is not YAML or has a wrong field; names its line.
    """
    source = str(name_or_path)
    return from_yaml(Recipe, named_text("recipe", source, PACKAGE, FOLDER), source)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """What `finetune` was asked for; what is `None` is left to the recipe.

    Attributes:
        trial: A trial's id; `None` takes the best one.
        unfreeze: What to unfreeze, as `unfreeze.parse_unfreeze` understands it.
        epochs: Passes over the training images.
        learning_rate: Peak rate.
        schedule: Kind of schedule.
        recipe: Shipped name, path of a YAML file, or the recipe itself.
        live: Run the whole network on freshly decoded images.
        warm_up: Start from the trained head; otherwise from a fresh one.
        refit: Train on train and validation images together, for all epochs.
        seed: Of the order, the views and a fresh head.
        study: By default the last one.
        time: What the whole run may take, such as `20m`; epochs and views are cut to it.
    """

    trial: str | None = None
    unfreeze: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    recipe: str | Recipe = DEFAULT
    live: bool = False
    warm_up: bool = True
    refit: bool = False
    seed: int = 0
    study: str | None = None
    time: str | None = None

    def resolved(self) -> Recipe:
        """The recipe with what was asked for on the command line put in its place."""
        given = self.recipe
        recipe = given if isinstance(given, Recipe) else load_recipe(given)
        return replace(
            recipe,
            training=self.steered(recipe.training),
            unfreeze=self.unfreeze or recipe.unfreeze,
            live=self.live or recipe.live,
        )

    def of_trial(self, trial_id: str) -> FinetuneOptions:
        """The same for another head."""
        return replace(self, trial=trial_id)

    def words(self, own_file: Path = Path(RECIPE_FILE)) -> tuple[str, ...]:
        """The command line that asks for the same of any head.

        Args:
            own_file: Where the run keeps a recipe that has no file of its own.
        """
        values = {
            "--recipe": own_file if isinstance(self.recipe, Recipe) else self.recipe,
            "--unfreeze": self.unfreeze,
            "--epochs": self.epochs,
            "--lr": self.learning_rate,
            "--schedule": self.schedule,
            "--refit": "train+val" if self.refit else None,
            "--seed": self.seed,
            "--time": self.time,
        }
        given = [(name, str(value)) for name, value in values.items() if value is not None]
        words = [word for pair in given for word in pair]
        if self.live:
            words.append("--live")
        if not self.warm_up:
            words.append("--no-warm-up")
        return tuple(words)

    def steered(self, training: TrainingSpec) -> TrainingSpec:
        """A training with the epochs, the schedule and the rate that were asked for.

        Raises:
            UsageError: A rate was asked for of a schedule that has rates of its own.
        """
        if self.epochs is not None:
            training = replace(training, epochs=self.epochs)
        if self.schedule is not None:
            training = replace(training, schedule=replace(training.schedule, kind=self.schedule))
        if self.learning_rate is None:
            return training
        if training.schedule.kind == "piecewise":
            raise UsageError(
                "A piecewise schedule takes its rates from the recipe's `values`, not from --lr.",
                "leave out --lr, or name another --schedule",
            )
        return replace(training, learning_rate=self.learning_rate)
