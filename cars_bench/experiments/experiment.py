"""An experiment ready to run: its folder, its config as read, and each attempt with all it does.

Nothing heavy is imported here.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cars_bench.data.policies import policy
from cars_bench.documents import FieldError, from_json, text_of, to_json
from cars_bench.errors import InputError, UsageError
from cars_bench.experiments.config import Attempt, Config, Data, Features, Finish
from cars_bench.experiments.winner_space import WINNER_OF, awaited_space
from cars_bench.finetune.recipe import Recipe
from cars_bench.tuning.space import Space, load_space, space_in
from cars_bench.workspace import Workspace
from cars_bench.yaml_text import YamlText, parse_yaml

FOLDER = "experiments"
"""Where experiments' folders lie, from the current folder."""
CONFIG_FILE = "config.yml"
RUNS = "runs"
"""An experiment's own workspace, in its folder; git leaves it out."""
FILES = (".yml", ".yaml")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One attempt with all that it does.

    Attributes:
        attempt: As it stands in the config.
        data: With the experiment's own.
        features: The same; files have whole paths.
        space: The space; of an attempt that takes a former one's winner, what it waits for.
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
        return bool(self.space.head.stages)

    @property
    def winner_of(self) -> str:
        """The attempt whose winner it takes; empty for one with a space of its own."""
        return str(self.space.document.get(WINNER_OF, ""))

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
        return self.searched() | {"finetune": self._finished(), "checks": self.attempt.checks}

    def _finished(self) -> list[Any] | None:
        """How its head is finished; a policy by what it holds, wherever its file lies."""
        if self.finish is None:
            return None
        recipe = self.finish.options("", "").resolved()
        said = to_json(recipe) | {"augment": policy(recipe.augment).to_json()}
        return [said, self.finish.warm_up, self.finish.seed]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment's folder, and what its config says, ready to run.

    Attributes:
        folder: The folder.
        config: As read.
        planned: The attempts, in order.
        file: The config's text, which knows the lines.
    """

    folder: Path
    config: Config
    planned: tuple[Planned, ...]
    file: YamlText = field(compare=False, repr=False)

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


def run_command(folder: Path, source: str, workspace: Workspace, only: Collection[str] = ()) -> str:
    """The command that runs an experiment, or goes on with it.

    Args:
        folder: The experiment's.
        source: Where the pictures are.
        workspace: Named where it is not the folder's own.
        only: Names of the attempts that are asked for.
    """
    words = ["cars-bench", "run", str(folder), source]
    if workspace != Workspace(folder / RUNS):
        words += ["--workspace", str(workspace.root)]
    words += [word for name in only for word in ("--only", name)]
    return shlex.join(words)


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
    planned: list[Planned] = []
    for index in range(len(config.attempts)):
        planned.append(_planned(file, folder, config, index, planned))
    return Experiment(folder=folder, config=config, planned=tuple(planned), file=file)


def _planned(
    file: YamlText, folder: Path, config: Config, index: int, former: Sequence[Planned]
) -> Planned:
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
            space=_space(file, folder, place, former),
            finish=finish,
        )
        planned.document()
    except UsageError as error:
        if error.message.startswith(file.source):
            raise
        raise file.error(place, f"{attempt.name}: {error.message}", error.fix) from error
    return planned


def _space(
    file: YamlText, folder: Path, place: tuple[str, ...], former: Sequence[Planned]
) -> Space:
    said = file.value["attempts"][int(place[1])].get("space", Attempt.space)
    if not isinstance(said, dict):
        return load_space(str(_beside(folder, said)))
    if WINNER_OF not in said:
        return space_in(file, (*place, "space"))
    searches = {item.name: item.searched() for item in former if item.space.hyperparameters}
    return awaited_space(file, (*place, "space"), said, searches)


def _finish(folder: Path, finish: Finish) -> Finish:
    recipe = finish.recipe
    if isinstance(recipe, Recipe):
        recipe = replace(recipe, augment=str(_beside(folder, recipe.augment)))
    return replace(finish, recipe=_beside(folder, recipe))


def _beside(folder: Path, said: Any) -> Any:
    """A file's whole path where a name is one of the folder's; everything else as it is."""
    is_file = isinstance(said, str) and said.endswith(FILES)
    return str(folder / said) if is_file else said
