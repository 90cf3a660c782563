from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.errors import StudyMissing, UsageError
from cars_bench.finetune.cache_fidelity_plan import FidelityOptions, chosen, outlook, spread
from cars_bench.finetune.recipe import load_recipe
from cars_bench.progress import Progress
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

BOXED = "fixed: {box: true, epochs: 1}\nhyperparameters: {depth: {type: int, min: 0, max: 1}}\n"


@given(st.integers(2, 200), st.data())
def test_places_are_spread_and_hold_the_winner(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, total))
    winner = data.draw(st.integers(0, total - 1))
    places = spread(total, count, winner)
    assert len(set(places)) == count
    assert winner in places
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] < total
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert max(gaps) <= 2 * (total - 1) / (count - 1) + 1


def test_the_first_the_last_and_those_between() -> None:
    assert spread(100, 5, 0) == [0, 25, 50, 74, 99]
    assert spread(100, 5, 3) == [3, 25, 50, 74, 99]


def test_too_few_heads(tuned: Workspace) -> None:
    with pytest.raises(UsageError, match="3 heads that completed; 12") as caught:
        chosen(tuned, FidelityOptions())
    assert "cars-bench tune --trials 12" in caught.value.fix


@pytest.mark.parametrize("options", [{"heads": 1}, {"seeds": 0}])
def test_nothing_to_compare(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        FidelityOptions(**options)


def test_no_study(workspace: Workspace) -> None:
    with pytest.raises(StudyMissing):
        chosen(workspace, FidelityOptions())


def test_networks_from_scratch_have_no_cache_to_judge(tuned: Workspace) -> None:
    study = Study.open(tuned)
    study.changed(features=replace(study.record.features, backbone="pixels"))
    with pytest.raises(UsageError, match="whole networks") as caught:
        chosen(tuned, FidelityOptions(heads=2))
    assert "cars-bench extract" in caught.value.fix


def test_a_recipe_that_unfreezes_nothing(tuned: Workspace, tmp_path: Path) -> None:
    recipe = tmp_path / "none.yaml"
    recipe.write_text("unfreeze: none\n")
    with pytest.raises(UsageError, match="unfreezes nothing"):
        chosen(tuned, FidelityOptions(heads=2, recipe=str(recipe)))


def test_heads_with_boxes_and_a_recipe_that_mixes(tuned: Workspace, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(BOXED)
    recipe = tmp_path / "mixed.yaml"
    recipe.write_text(yaml.safe_dump({"training": {"mixup": 0.2}}))
    asked = TuneOptions(
        trials=2, space=str(tmp_path / "space.yaml"), study="boxed", repeats=0, workers=1
    )
    tune(tuned, asked, Progress())
    options = FidelityOptions(heads=2, study="boxed")
    assert len(chosen(tuned, options).heads) == 2
    with pytest.raises(UsageError, match="mixed images"):
        chosen(tuned, replace(options, recipe=str(recipe)))


def test_what_is_ahead_is_told_and_nothing_is_written(tuned: Workspace, recipe: Path) -> None:
    before = set(tuned.root.rglob("*"))
    ahead = outlook(tuned, FidelityOptions(heads=3, seeds=2, recipe=str(recipe)))
    assert [head.rank for head in ahead.heads] == [1, 2, 3]
    assert (ahead.runs, ahead.finished, ahead.seconds) == (10, 0, None)
    assert set(tuned.root.rglob("*")) == before


def test_the_shipped_recipe_is_short() -> None:
    short, whole = load_recipe("short"), load_recipe("default")
    assert short.training.epochs < whole.training.epochs / 2
