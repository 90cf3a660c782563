"""Every shipped experiment parses, and runs for a few steps on drawn images.

Covers cars_bench/experiments/config.py and cars_bench/experiments/experiment.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.experiments.experiment import load_experiment
from cars_bench.experiments.run import run_experiment
from cars_bench.progress import Progress
from cars_bench.tuning.oracles import Proposer
from cars_bench.workspace import Workspace
from tests.experiments.small import shrunk

FOLDERS = sorted((Path(__file__).parents[2] / "experiments").glob("*/config.yml"))
NAMES = [path.parent.name for path in FOLDERS]


def test_the_four_published_projects_are_there():
    assert NAMES == ["boxes-and-focal", "cached-heads", "sweep-and-crop", "warmup-surgery"]


@pytest.mark.parametrize("path", FOLDERS, ids=NAMES)
def test_a_shipped_experiment_parses_and_has_its_published_scores(path: Path):
    experiment = load_experiment(path)
    published = [score for item in experiment.planned for score in item.attempt.published]
    assert experiment.config.shortened
    assert published or experiment.config.published
    assert path.parent.name in (path.parents[1] / "README.md").read_text()


@pytest.mark.parametrize("path", FOLDERS, ids=NAMES)
def test_another_backbone_is_one_line(path: Path, tmp_path: Path):
    text = path.read_text()
    line = "  backbone: efficientnet-lite0"
    assert text.count(line) == 1
    copy = tmp_path / path.parent.name
    copy.mkdir()
    (copy / "config.yml").write_text(text.replace(line, "  backbone: resnet101"))
    assert load_experiment(copy).backbone == "resnet101"


def test_a_grid_has_as_many_trials_as_points():
    planned = load_experiment(FOLDERS[NAMES.index("sweep-and-crop")]).planned
    (grid,) = (item for item in planned if item.attempt.oracle == "grid")
    proposer = Proposer(grid.space, "grid", 0, 1)
    points = list[dict]()
    while (values := proposer.propose(f"t{len(points):04d}")) is not None:
        proposer.tell(f"t{len(points):04d}", 0.5)
        points.append(values)
    assert len(points) == grid.attempt.trials
    assert len({str(grid.space.specs(values)) for values in points}) == len(points)


@pytest.mark.slow
@pytest.mark.parametrize("path", FOLDERS, ids=NAMES)
def test_a_shipped_experiment_runs_for_a_few_steps_on_drawn_images(
    path: Path, tmp_path: Path, tiny_source: Path
):
    experiment = shrunk(load_experiment(path))
    record = run_experiment(Workspace(tmp_path), experiment, tiny_source, Progress())
    assert [item.name for item in record.attempts] == [item.name for item in experiment.planned]
    assert all(item.finished for item in record.attempts)
    assert record.attempt(record.chosen).test is not None
