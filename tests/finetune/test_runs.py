"""Covers cars_bench/finetune/run_record.py."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.documents import from_json, to_json
from cars_bench.errors import ModelMissing, RecordDamaged
from cars_bench.evaluation.metrics import Estimate, SplitScore
from cars_bench.finetune.plan import last_plan, new_plan
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run_record import RunRecord
from cars_bench.finetune.runs import Run, best_run, frozen_test_top1, runs, unfinished
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace
from tests.rewriting import rewrite

KEYS = [
    "schema_version", "run", "study", "trial_id", "created", "dataset", "class_names",
    "cache_key", "features", "backbone", "head", "width", "unfreeze", "boundary_cache_key",
    "training", "recipe", "asked", "warm_up", "refit", "seed", "steering", "epochs",
    "best_epoch", "seconds", "training_seconds", "handoff", "frozen_check", "whole_check",
    "frozen", "finetuned", "backend", "versions", "sha256", "saved_model_check",
    "speed", "temperature", "tables", "sides", "boxes", "purpose",
    "early_pixels", "checksum",
]  # fmt: skip


def test_neither_keras_nor_what_it_runs_on_is_imported() -> None:
    code = "import sys, cars_bench.finetune.runs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "torch"} & set(done.stdout.split())


def test_a_record_goes_to_disk_and_back(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    path = run.folder / "run.json"
    before = path.read_bytes()
    assert list(json.loads(before)) == KEYS
    assert from_json(RunRecord, json.loads(json.dumps(to_json(run.record)))) == run.record
    assert run.write() == Run.open(run.folder)
    assert path.read_bytes() == before


def test_a_run_knows_its_files(finished_once: tuple[Path, Run]) -> None:
    run = finished_once[1]
    assert run.name == run.record.run
    assert [row.epoch for row in run.history()] == [1, 2, 3]
    for split in ("val", "test"):
        for stage in ("frozen", "finetuned"):
            score = run.score(stage, split)
            answers = run.predictions(stage, split)
            assert score
            assert answers
            assert score.top1.value == answers.correct.mean()
    assert run.predictions("finetuned", "train") is None
    assert run.score("frozen", "train") is None


@pytest.mark.parametrize("damage", ["not JSON", '{"schema_version": 1, "run": "r"}', "[]"])
def test_a_damaged_record_is_refused_by_name(finished: Workspace, damage: str) -> None:
    (run,) = runs(Study.open(finished))
    (run.folder / "run.json").write_text(damage)
    with pytest.raises(RecordDamaged, match=r"run\.json"):
        Run.open(run.folder)


def test_a_table_that_was_edited_is_refused(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    path = run.folder / "predictions-test.csv"
    text = path.read_text()
    path.write_text(text.replace(",0.", ",0.0", 1))
    with pytest.raises(RecordDamaged, match="its digest is not the recorded one"):
        run.answers()
    path.write_text(text.replace("disc", "discus"))
    with pytest.raises(RecordDamaged, match="class 'discus' that is none"):
        run.answers()


def test_a_score_that_the_table_beside_it_refutes_is_refused(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    perfect = {"value": 1.0, "low": 0.9, "high": 1.0}
    rewrite(
        run.folder / "run.json",
        lambda values: values["finetuned"]["test"].update(top1=perfect, n=12),
    )
    with pytest.raises(RecordDamaged, match=r"run\.json says top-1 1\.0000 on test.*beside it"):
        Run.open(run.folder).answers()


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no finished model"):
        Run.open(tmp_path)


def test_a_run_is_unfinished_until_its_record_is_there(finished: Workspace) -> None:
    study = Study.open(finished)
    assert unfinished(study) == ()
    plan = new_plan(finished, FinetuneOptions(seed=5))
    plan.write(finished)
    assert last_plan(finished) == plan
    assert unfinished(study) == (plan.run,)
    assert len(runs(study)) == 1


def test_the_test_score_of_a_head_is_that_of_the_last_run_that_read_it(
    finished: Workspace,
) -> None:
    study = Study.open(finished)
    (run,) = runs(study)
    trial_id = run.record.trial_id
    assert frozen_test_top1(study, trial_id) == run.record.frozen["test"].top1.value
    assert frozen_test_top1(study, "t9999") is None
    validated = replace(run.record, frozen={"val": run.record.frozen["val"]})
    Run(run.folder, validated).write()
    assert frozen_test_top1(study, trial_id) is None


def test_the_best_run_is_chosen_on_validation(finished_once: tuple[Path, Run]) -> None:
    run = finished_once[1]
    worse = _scored(run, val=0.5, test=0.9)
    better = _scored(run, val=0.6, test=0.1)
    refit = replace(run, record=replace(run.record, finetuned={"test": _score(1.0)}))
    assert best_run([worse, better, refit]) is better
    assert best_run([worse, _scored(run, val=0.5, test=1.0)]) is worse
    assert best_run([refit]) is refit
    assert best_run([]) is None


def _score(value: float) -> SplitScore:
    return SplitScore(Estimate(value, value, value), Estimate(1.0, 1.0, 1.0), 12)


def _scored(run: Run, **values: float) -> Run:
    scores = {split: _score(value) for split, value in values.items()}
    return replace(run, record=replace(run.record, finetuned=scores))


def test_a_record_of_before_speeds_were_measured_is_read(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    document = to_json(run.record)
    del document["speed"]
    assert from_json(RunRecord, document).speed is None


def test_a_run_knows_the_files_of_its_model_and_their_size(finished_once: tuple[Path, Run]) -> None:
    run = finished_once[1]
    files = run.files()
    assert [path.name for path in files] == ["model.keras", "model.weights.h5", "saved_model"]
    keras_file = run.folder / "model.keras"
    assert files[keras_file] == keras_file.stat().st_size
    saved = [path.stat().st_size for path in (run.folder / "saved_model").rglob("*.*")]
    assert files[run.folder / "saved_model"] >= sum(saved[:1]) > 0


def test_the_speed_is_measured_when_a_run_is_finished(finished_once: tuple[Path, Run]) -> None:
    speed = finished_once[1].record.speed
    assert speed
    assert [item.batch for item in speed.batches] == [1, 32]
    assert all(0 < item.seconds < 10 for item in speed.batches)
    assert " core" in speed.machine
    assert speed.text in (finished_once[1].folder / "model-card.md").read_text()
