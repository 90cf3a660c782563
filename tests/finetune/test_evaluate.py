from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.cache.store import FeatureCache, remove
from cars_bench.data.dataset import Dataset
from cars_bench.documents import to_json
from cars_bench.errors import CacheMissing, CacheStale, InputError, UsageError
from cars_bench.evaluation.assessment import assess
from cars_bench.evaluation.predictions import predictions, read_predictions
from cars_bench.finetune import evaluate as evaluate_module
from cars_bench.finetune.evaluate import evaluate, evaluate_frozen, measures
from cars_bench.finetune.model_card import write_card
from cars_bench.finetune.run import measure_test
from cars_bench.finetune.runs import Run, runs
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.stored_head import stored_winner
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import store_winner
from cars_bench.workspace import LockHeld, Workspace, locked
from tests.rewriting import rename, rewrite

NAMES = ["Audi TT Coupe 2011", "Audi A4 Sedan 2012", "BMW X5 SUV 2007"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_files_give_the_recorded_scores(finished_once: tuple[Path, Run], split: str) -> None:
    root, result = finished_once
    found = evaluate(Workspace(root), None, split, Progress())
    for stage in ("frozen", "finetuned"):
        assert found[stage][split] == to_json(result.score(stage, split))
        more = found["measures"][stage]
        assert sum(row["n"] for row in more["classes"]) == 12
        assert sum(row["n"] for row in more["calibration"]["reliability"]) == 12
        assert 0 <= more["calibration"]["expected_calibration_error"] <= 1
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_winner_is_measured_before_it_is_finetuned(
    finished_once: tuple[Path, Run], split: str
) -> None:
    root, result = finished_once
    found = evaluate_frozen(Workspace(root), None, split, Progress())
    assert found["frozen"][split] == to_json(result.record.frozen[split])
    assert (found["finetuned"], found["measures"].keys()) == ({}, {"frozen"})
    json.dumps(found, allow_nan=False)


def _untested(workspace: Workspace) -> Run:
    """The finished run as `finetune --top` leaves those that are not the best: test not read."""
    (run,) = runs(Study.open(workspace))
    for table in run.folder.glob("predictions-test*.csv"):
        table.unlink()
    record = run.record
    temperature = replace(
        record.temperature,
        before={"val": record.temperature.before["val"]},
        after={"val": record.temperature.after["val"]},
    )
    validated = {"val": record.finetuned["val"]}
    record = replace(record, frozen=validated, finetuned=validated, temperature=temperature)
    untested = Run(run.folder, record).write()
    write_card(untested)
    return untested


def test_what_a_run_answers_is_kept_with_its_scores_its_temperature_and_its_card(
    finished: Workspace,
) -> None:
    before = _untested(finished)
    assert "The test images were not read" in (before.folder / "model-card.md").read_text()
    found = evaluate(finished, None, "test", Progress())
    run = Run.open(before.folder)
    for stage in ("frozen", "finetuned"):
        assert to_json(run.score(stage, "test")) == found[stage]["test"]
        judged = assess(run.predictions(stage, "test"), run.record.class_names)
        assert measures(judged) == found["measures"][stage]
    after = run.record.temperature.after
    assert list(after) == ["val", "test"]
    said = found["temperature"]
    assert said["expected_calibration_error"] == after["test"].expected_calibration_error
    assert "The test images were read once" in (run.folder / "model-card.md").read_text()


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something else happen while the model is asked."""
    honest = evaluate_module.LiveImages
    monkeypatch.setattr(evaluate_module, "LiveImages", lambda *args: change() and honest(*args))


def test_what_another_process_added_meanwhile_stays(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _untested(finished)
    versions = run.record.versions | {"added": "meanwhile"}
    added = Run(run.folder, replace(run.record, versions=versions))
    meanwhile(monkeypatch, added.write)
    evaluate(finished, None, "test", Progress())
    kept = Run.open(run.folder)
    assert kept.record.versions == versions
    assert kept.score("finetuned", "test") is not None


def test_answers_of_a_model_that_was_trained_anew_meanwhile_are_not_kept(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _untested(finished)
    other = Run(run.folder, replace(run.record, sha256={"model.keras": "0" * 64}))
    meanwhile(monkeypatch, other.write)
    evaluate(finished, None, "test", Progress())
    assert Run.open(run.folder) == other
    assert not list(run.folder.glob("predictions-test*"))


def test_a_run_that_another_process_works_on_is_measured_and_not_written(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _untested(finished)
    told: list[str] = []
    monkeypatch.setattr(Progress, "log", lambda _, line: told.append(line))
    with locked(run.folder / ".lock", "The test"):
        assert evaluate(finished, None, "test", Progress())["finetuned"]["test"]["n"] == 12
        with pytest.raises(LockHeld, match="already running"):
            measure_test(finished, run, Progress())
    assert "cannot be kept" in told[-1]
    assert "\n" not in told[-1]
    assert Run.open(run.folder) == run


def test_the_test_split_is_read_for_the_run_as_it_is_now(finished: Workspace) -> None:
    run = _untested(finished)
    versions = run.record.versions | {"added": "meanwhile"}
    Run(run.folder, replace(run.record, versions=versions)).write()
    measured = measure_test(finished, run, Progress())
    assert measured.record.versions == versions
    assert measured.score("finetuned", "test") is not None
    assert Run.open(run.folder) == measured


def test_what_is_kept_already_is_not_written_again(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    files = {
        path: path.stat().st_mtime_ns for path in run.folder.iterdir() if path.suffix != ".holder"
    }
    evaluate(finished, None, "test", Progress())
    files.pop(run.folder / ".lock", None)
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_answers_about_another_dataset_are_not_kept(finished: Workspace) -> None:
    run = _untested(finished)
    other = replace(run.record.dataset, digest="0" * 64)
    Run(run.folder, replace(run.record, dataset=other)).write()
    evaluate(finished, None, "test", Progress())
    assert Run.open(run.folder).score("finetuned", "test") is None
    assert not list(run.folder.glob("predictions-test*"))


def test_a_run_without_a_temperature_is_given_one_on_validation_only(finished: Workspace) -> None:
    (run,) = runs(Study.open(finished))
    fitted = run.record.temperature
    Run(run.folder, replace(run.record, temperature=None)).write()
    assert evaluate(finished, None, "test", Progress())["temperature"] is None
    assert Run.open(run.folder).record.temperature is None
    evaluate(finished, None, "val", Progress())
    again = Run.open(run.folder).record.temperature
    assert again.value == pytest.approx(fitted.value, rel=1e-3)
    assert list(again.after) == ["val"]


def test_a_folder_that_cannot_be_written_is_warned_of_and_the_answer_is_given(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    _untested(finished)
    monkeypatch.setattr(Run, "with_predictions", refuse)
    told: list[str] = []
    monkeypatch.setattr(Progress, "log", lambda _, line: told.append(line))
    assert evaluate(finished, None, "test", Progress())["finetuned"]["test"]["n"] == 12
    assert "cannot be kept" in told[-1]


def test_what_a_winner_answers_is_kept_beside_it(tuned: Workspace) -> None:
    study = Study.open(tuned)
    assert stored_winner(study).answers("test") is None
    found = evaluate_frozen(tuned, None, "test", Progress())
    kept = stored_winner(study).answers("test")
    assert measures(assess(kept, study.class_names)) == found["measures"]["frozen"]
    assert {item.image_id for item in kept} == {
        item.image_id for item in Dataset.load(tuned).records("test")
    }


def test_changed_classes_are_refused_by_name(finished: Workspace) -> None:
    path = next(finished.studies.glob("*/final/*/run.json"))
    rename(path, '"cross"', '"plus"')
    with pytest.raises(CacheStale, match=r"cross, plus") as caught:
        evaluate(finished, None, "test", Progress())
    assert caught.value.code == 4


def test_a_refit_model_is_not_scored_on_the_validation_images_it_saw(finished: Workspace) -> None:
    path = next(finished.studies.glob("*/final/*/run.json"))
    rewrite(path, lambda values: values.update(refit=True))
    with pytest.raises(UsageError, match="trained on the validation images") as caught:
        evaluate(finished, None, "val", Progress())
    assert "--split test" in caught.value.fix


def test_a_refit_winner_is_not_scored_on_the_validation_images_it_saw(tuned: Workspace) -> None:
    study = Study.open(tuned)
    cache = FeatureCache.open(tuned, study.cache_key)
    store_winner(study, best_trial(study), cache, refit="train+val")
    with pytest.raises(UsageError, match="trained on the validation images"):
        evaluate_frozen(tuned, None, "val", Progress())
    assert evaluate_frozen(tuned, None, "test", Progress())["frozen"].keys() == {"test"}


def test_a_removed_cache_is_noticed_before_the_network_runs(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "LiveImages", lambda *_: pytest.fail("the network ran"))
    remove(finished, Study.open(finished).cache_key)
    with pytest.raises(CacheMissing):
        evaluate(finished, None, "test", Progress())


@pytest.mark.parametrize("damage", ["replaced", "truncated"])
def test_a_test_picture_that_is_not_the_prepared_one_is_named(
    finished: Workspace, damage: str
) -> None:
    first, second = (record.path for record in Dataset.load(finished).records("test")[:2])
    first.write_bytes(second.read_bytes() if damage == "replaced" else first.read_bytes()[:400])
    with pytest.raises(InputError, match=first.name) as caught:
        evaluate(finished, None, "test", Progress())
    assert "prepare" in caught.value.fix


def test_the_keys_that_scripts_read() -> None:
    labels = [0, 0, 1, 2]
    logits = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]] * 10
    makes = {name: name.split()[0] for name in NAMES}
    answers = predictions(list("abcd"), logits, NAMES, labels)
    found = measures(assess(answers, NAMES, {"make": makes}))
    assert found["macro"]["value"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert [row["value"] for row in found["classes"]] == [0.5, 1.0, 1.0]
    assert found["classes"][0].keys() == {"class", "value", "low", "high", "n"}
    assert found["confused"] == [
        {"true": NAMES[0], "predicted": NAMES[1], "count": 1, "share": 0.5}
    ]
    assert found["calibration"]["expected_calibration_error"] == pytest.approx(0.25, abs=1e-3)
    assert found["calibration"]["reliability"][0].keys() == {
        "low", "high", "n", "confidence", "accuracy"
    }  # fmt: skip
    assert {row["group"]: row["n"] for row in found["groups"]["make"]} == {"Audi": 3, "BMW": 1}


def test_the_runs_own_table_of_predictions_is_judged_the_same(
    finished_once: tuple[Path, Run],
) -> None:
    root, result = finished_once
    found = evaluate(Workspace(root), None, "test", Progress())
    table = read_predictions(result.folder / "predictions-test.csv")
    judged = assess(table, result.record.class_names)
    assert found["measures"]["finetuned"] == measures(judged)
    changed = found["mcnemar"]
    frozen = read_predictions(result.folder / "predictions-test-frozen.csv")
    gain = changed["only_finetuned_right"] - changed["only_frozen_right"]
    assert gain == table.correct.sum() - frozen.correct.sum()
