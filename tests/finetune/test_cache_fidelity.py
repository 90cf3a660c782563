"""Heads of all ranks finished under one budget, killed on the way and not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.errors import CarsBenchError, Interrupted, TrialFailed
from cars_bench.finetune import cache_fidelity
from cars_bench.finetune.cache_fidelity import measure_fidelity
from cars_bench.finetune.cache_fidelity_plan import FidelityOptions, outlook
from cars_bench.finetune.cache_fidelity_record import FidelityRecord, read_fidelity, write_fidelity
from cars_bench.finetune.plan import RunPlan, begun, read_plan
from cars_bench.finetune.run import perform
from cars_bench.finetune.runs import Run, is_finished, runs, unfinished
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace
from tests.pipeline import copied
from tests.sharing import made_once


class Killed(BaseException):
    """Stands for a process that dies: nothing may catch it."""


def asked(recipe: Path) -> FidelityOptions:
    return FidelityOptions(heads=2, seeds=2, recipe=str(recipe), epochs=1)


@pytest.fixture(scope="module")
def measured_root(tuned_once: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a workspace whose cache was judged by two heads; do not change it."""

    def measure(root: Path) -> None:
        measure_fidelity(copied(tuned_once, root), asked(recipe), Progress())

    return made_once(tmp_path_factory, "fidelity-once", measure)


@pytest.fixture
def measured(measured_root: Path, tmp_path: Path) -> Workspace:
    """A copy to work in."""
    return copied(measured_root, tmp_path / "measured")


def record_of(workspace: Workspace) -> FidelityRecord:
    found = read_fidelity(Study.open(workspace))
    assert found is not None
    return found


def folders(workspace: Workspace) -> dict[str, int]:
    return {
        path.name: (path / "run.json").stat().st_mtime_ns for path in begun(Study.open(workspace))
    }


def test_two_heads_two_seeds_and_three_sources_of_views(measured: Workspace) -> None:
    found = record_of(measured)
    study = Study.open(measured)
    assert found.complete
    assert found.images == 12
    assert found.winner == best_trial(study).trial_id
    assert found.winner in {head.trial_id for head in found.heads}
    assert [len(head.finetuned) for head in found.heads] == [2, 2]
    assert found.tau is not None
    assert -1 <= found.tau.low <= found.tau.value <= found.tau.high <= 1
    assert found.regret is not None
    by_name = {head.trial_id: head.mean for head in found.heads}
    assert found.regret.lost.value == pytest.approx(max(by_name.values()) - by_name[found.winner])
    assert [source.views for source in found.views] == [1, 2, 0]
    assert found.views[2].lost.value == 0
    assert all(source.epoch_seconds > 0 for source in found.views)
    winner = next(head for head in found.heads if head.trial_id == found.winner)
    assert found.views[1].runs == winner.runs  # K views were trained once


def test_its_runs_are_told_apart_and_read_no_test_image(measured: Workspace) -> None:
    study = Study.open(measured)
    folders = begun(study)
    assert len(folders) == 8  # two heads, one view and live, two seeds each
    for folder in folders:
        run = Run.open(folder)
        assert folder.name.startswith("fidelity-")
        assert run.record.purpose == read_plan(folder).purpose == "fidelity"
        assert run.record.frozen.keys() == run.record.finetuned.keys() == {"val"}
        assert not list(folder.glob("predictions-test*"))
    assert runs(study) == ()
    assert not {"model", "finetune"} & measured.settings().keys()


def test_the_same_command_again_trains_nothing(measured: Workspace, recipe: Path) -> None:
    before = folders(measured)
    first = record_of(measured)
    assert measure_fidelity(measured, asked(recipe), Progress()) == first
    assert folders(measured) == before
    ahead = outlook(measured, asked(recipe))
    assert (ahead.runs, ahead.finished, ahead.seconds) == (8, 8, 0)


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_attempt_goes_on_and_ends_where_another_ends(
    tuned: Workspace,
    measured_root: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    done: list[str] = []

    def dying(workspace: Workspace, plan: RunPlan, progress: Progress) -> Run:
        if len(done) == after:
            plan.write(workspace)
            raise Killed
        done.append(plan.run)
        return perform(workspace, plan, progress)

    with monkeypatch.context() as patched:
        patched.setattr(cache_fidelity, "perform", dying)
        with pytest.raises(Killed):
            measure_fidelity(tuned, asked(recipe), Progress())
    study = Study.open(tuned)
    stopped = record_of(tuned)
    assert not stopped.complete
    assert (stopped.tau is None) == (after < 4)  # the heads are judged before the views
    (left,) = [path for path in begun(study) if not is_finished(path)]
    assert unfinished(study) == ()  # which is of the user's own runs

    before = {name: (study.folder / "final" / name / "run.json").read_bytes() for name in done}
    found = measure_fidelity(tuned, asked(recipe), Progress())
    assert is_finished(left)
    for name, text in before.items():
        assert (study.folder / "final" / name / "run.json").read_bytes() == text
    whole = record_of(Workspace(measured_root))
    assert found.tau == whole.tau
    assert found.regret == whole.regret
    assert [head.finetuned for head in found.heads] == [head.finetuned for head in whole.heads]
    assert [source.top1 for source in found.views] == [source.top1 for source in whole.views]


def test_an_attempt_goes_on_with_its_own_heads(measured: Workspace, recipe: Path) -> None:
    study = Study.open(measured)
    mine = record_of(measured)
    kept = tuple(replace(head, rank=head.rank + 7) for head in mine.heads)
    write_fidelity(study, replace(mine, heads=kept, complete=False))
    assert outlook(measured, asked(recipe)).heads == kept


def test_ctrl_c_says_the_whole_command(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> Run:
        raise Interrupted("Stopped.", "cars-bench finetune --resume")

    monkeypatch.setattr(cache_fidelity, "perform", stopped)
    with pytest.raises(Interrupted) as caught:
        measure_fidelity(tuned, asked(recipe), Progress())
    assert caught.value.fix == (
        f"cars-bench fidelity --heads 2 --seeds 2 --recipe {recipe} --epochs 1"
    )


def test_a_head_that_diverges_is_named(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: object) -> Run:
        raise CarsBenchError("Fine-tuning diverged.", "") from TrialFailed("loss is nan")

    monkeypatch.setattr(cache_fidelity, "perform", diverged)
    with pytest.raises(CarsBenchError, match=r"^t000\d: Fine-tuning diverged") as caught:
        measure_fidelity(tuned, asked(recipe), Progress())
    assert "recipe" in caught.value.fix
