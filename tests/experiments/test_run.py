"""An experiment from its config to its record.

Covers cars_bench/experiments/stages.py and cars_bench/experiments/record.py.
Covers cars_bench/experiments/forecast.py and cars_bench/experiments/names.py.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.data.box_sheet import SHEET_FILE
from cars_bench.detectors import prepare as boxed
from cars_bench.documents import to_json
from cars_bench.errors import Interrupted, UsageError
from cars_bench.experiments import stages
from cars_bench.experiments.forecast import forecast
from cars_bench.experiments.record import (
    RECORD_FILE,
    ExperimentRecord,
    Kept,
    kept_experiments,
    read_experiment_record,
)
from cars_bench.experiments.run import run_experiment
from cars_bench.experiments.table import rows_of
from cars_bench.finetune.evaluate import evaluate_frozen
from cars_bench.finetune.plan import run_folder
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.tuning.study import Study, study_names
from cars_bench.workspace import Workspace
from tests.detectors.seeing import finder
from tests.experiments.small import CONFIG, small


@pytest.fixture(scope="module")
def done(experiment_once: Path, tiny_source: Path) -> Kept:
    experiment = small(experiment_once)
    workspace = Workspace(experiment.runs)
    return Kept(workspace, run_experiment(workspace, experiment, tiny_source, Progress()))


def names(record: ExperimentRecord) -> list[str]:
    return [item.name for item in record.attempts]


def test_every_attempt_has_its_score_with_an_interval_and_its_time(done: Kept):
    assert names(done.record) == ["one-dense", "surgery", "no-warm-up"]
    for item in done.record.attempts:
        assert item.val is not None
        assert item.val.top1.low <= item.val.top1.value <= item.val.top1.high
        assert item.wall_seconds > 0


def test_attempts_with_the_same_search_share_one_study_and_one_dataset(done: Kept):
    assert len(study_names(done.workspace)) == 1
    assert len(list(done.workspace.datasets.glob("[!.]*"))) == 1


def test_the_best_on_validation_is_chosen_and_only_it_and_whoever_asks_is_tested(done: Kept):
    best = max(done.record.attempts, key=lambda item: item.val.top1.value)
    assert done.record.chosen == best.name
    tested = {item.name for item in done.record.attempts if item.test}
    assert tested == {"one-dense", best.name}


def test_the_checks_of_an_attempt_are_kept(done: Kept):
    kept = done.record.attempts[0].checks
    assert kept == stages.check_cache(done.workspace, Study.open(done.workspace).cache_key)
    assert any(item.name.startswith("untrained loss") and item.passed for item in kept)
    assert not done.record.attempts[1].checks


def test_the_curves_are_those_of_the_head_and_then_of_the_fine_tuning(done: Kept):
    curves = done.curves(done.record.attempts[1])
    assert [item.epoch for item in curves.head] == [1, 2, 3]
    assert [item.epoch for item in curves.tuned] == [1, 2]
    assert curves.warm
    assert not done.curves(done.record.attempts[2]).warm
    assert done.curves(done.record.attempts[0]).tuned == ()


def test_the_record_is_found_beside_its_folder(done: Kept, tmp_path: Path):
    found = kept_experiments(Workspace(tmp_path), done.workspace.root.parents[1])
    assert [item.record for item in found] == [done.record]


def test_asked_again_nothing_is_done_again(
    done: Kept, tiny_source: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object) -> None:
        raise AssertionError("done twice")

    for name in ("prepare_data", "extract_features", "search", "finish", "read_test"):
        monkeypatch.setattr(stages, name, refused)
    experiment = small(done.workspace.root.parent)
    assert run_experiment(done.workspace, experiment, tiny_source, Progress()) == done.record
    ahead = forecast(done.workspace, experiment, tiny_source)
    assert all(item.finished for item in ahead.attempts)
    assert ahead.images == 60


def test_stopped_between_stages_it_goes_on_with_what_was_not_done(
    tmp_path: Path, tiny_source: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = small(tmp_path / "shapes", CONFIG.replace("checks: true", "checks: false"))
    workspace = Workspace(tmp_path / "elsewhere")
    finish = stages.finish

    def stopped(*_: object) -> None:
        raise Interrupted("Stopped.", "")

    monkeypatch.setattr(stages, "finish", stopped)
    with pytest.raises(Interrupted) as caught:
        run_experiment(workspace, experiment, tiny_source, Progress())
    assert str(experiment.folder) in caught.value.fix
    monkeypatch.setattr(stages, "finish", finish)
    monkeypatch.setattr(stages, "prepare_data", stopped)
    record = run_experiment(workspace, experiment, tiny_source, Progress(), ["surgery"])
    assert names(record) == ["one-dense", "surgery"]
    assert record.chosen == ""
    assert not any(item.test for item in record.attempts)
    assert not experiment.runs.exists()


ABSENT = """\
  - name: absent
    space: {{head: {{layers: [{{units: 16}}]}}}}
    features: {{weights: {weights}}}
"""


def test_an_attempt_whose_weights_are_not_here_is_passed_over_and_says_so(
    done: Kept, tmp_path: Path, tiny_source: Path
):
    first = ABSENT.format(weights=tmp_path / "none.h5")
    text = CONFIG.replace("attempts:\n", f"attempts:\n{first}")
    experiment = small(tmp_path / "shapes", text)
    workspace = Workspace(tmp_path / "w")
    shutil.copytree(done.workspace.root, workspace.root)
    replace(done.record, attempts=()).write(workspace)
    asked = ["absent", "no-warm-up"]
    record = run_experiment(workspace, experiment, tiny_source, Progress(), asked)
    lacking, finished = record.attempts
    assert "none.h5" in lacking.lacking
    assert not lacking.finished
    assert finished.finished
    assert rows_of(record)[0].lacking == lacking.lacking


BOXES = CONFIG[: CONFIG.index("  - name: no-warm-up")].replace("checks: true", "checks: false")


def test_an_attempt_whose_head_tells_boxes_has_their_scores(tmp_path: Path, tiny_source: Path):
    text = BOXES.replace("units: 16}]", "units: 16}], box: true")
    workspace = Workspace(tmp_path / "w")
    record = run_experiment(workspace, small(tmp_path / "shapes", text), tiny_source, Progress())
    for item in record.attempts:
        assert item.val_boxes is not None
        assert item.val_boxes.n == 12
        assert bool(item.test_boxes) == bool(item.test)
    frozen, tuned = record.attempts
    judged = evaluate_frozen(workspace, frozen.study, "val", Progress())["boxes"]["frozen"]["val"]
    assert to_json(frozen.val_boxes) == judged
    run = Run.open(run_folder(workspace, tuned.study, tuned.run)).record
    assert tuned.val_boxes == run.boxes.finetuned["val"]
    assert read_experiment_record(record.folder(workspace) / RECORD_FILE) == record


def test_where_a_detector_finds_boxes_a_sheet_of_them_is_drawn(
    tmp_path: Path, tiny_source: Path, monkeypatch: pytest.MonkeyPatch
):
    workspace = Workspace(tmp_path / "w")
    monkeypatch.setattr(boxed, "finder_for", lambda *_, **__: finder(workspace))
    text = CONFIG.replace("    checks: true", "    data: {boxes: detector}")
    wanted = small(tmp_path / "shapes", text).planned[0]
    dataset = stages.prepare_data(workspace, "seen", wanted, tiny_source, Progress())
    assert (dataset.folder / SHEET_FILE).is_file()


def test_an_attempt_that_is_not_there_is_refused(tmp_path: Path, tiny_source: Path):
    experiment = small(tmp_path / "shapes")
    with pytest.raises(UsageError, match="surgeon"):
        run_experiment(Workspace(tmp_path), experiment, tiny_source, Progress(), ["surgeon"])
