from __future__ import annotations

import subprocess
import sys

import pytest

from cars_bench.errors import ModelMissing, RecordDamaged
from cars_bench.evaluation.predictions import Prediction, Predictions
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.stored_head import (
    HeadRecord,
    StoredHead,
    discard,
    is_stored,
    stored,
    stored_winner,
)
from cars_bench.tuning.study import DatasetReference
from tests.tuning.studies import write_study

RECORD = HeadRecord(
    trial_id="t0001",
    study="mine",
    head=HeadSpec(),
    training=TrainingSpec(),
    refit="",
    score=0.75,
    ledger_score=0.7,
    best_epoch=2,
    width=12,
    class_names=("a", "b"),
    cache_key="k",
    dataset=DatasetReference("tiny", "d" * 64),
    weights_sha256="0" * 64,
)
ANSWERS = Predictions((Prediction("1.png", "a", ("a", "b"), (0.75, 0.25)),))


@pytest.fixture
def head(tmp_path):
    study = write_study(tmp_path / "mine")
    found = StoredHead(study.folder / "winner", RECORD)
    found.write()
    return found


def test_no_training_framework_is_loaded_with_it():
    code = "import sys, cars_bench.tuning.stored_head; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "torch"} & set(done.stdout.split())


def test_the_record_goes_to_disk_and_back(head):
    assert StoredHead.open(head.folder) == head
    assert stored_winner(write_study(head.folder.parent)) == head


def test_only_the_same_trial_trained_on_the_same_images_is_there_already(head, tmp_path):
    assert is_stored(head.folder, "t0001", "")
    assert not is_stored(head.folder, "t0002", "")
    assert not is_stored(head.folder, "t0001", "train+val")
    assert not is_stored(tmp_path, "t0001", "")


def test_where_there_is_no_head_there_is_none(tmp_path):
    assert stored(tmp_path) is None
    with pytest.raises(ModelMissing, match="no trained head"):
        StoredHead.open(tmp_path)


def test_a_damaged_record_is_refused_with_what_mends_it(head):
    (head.folder / "winner.json").write_text("{}")
    with pytest.raises(RecordDamaged) as caught:
        stored(head.folder)
    assert "delete" in caught.value.fix


def test_what_it_answered_lies_beside_it(head):
    assert head.answers("test") is None
    head.keep_answers("test", ANSWERS)
    assert head.answers("test") == ANSWERS
    assert (head.folder / "predictions-test.csv").is_file()


def test_answers_that_are_kept_already_stay(head):
    head.keep_answers("test", ANSWERS)
    head.keep_answers("test", Predictions(()))
    assert head.answers("test") == ANSWERS


def test_answers_that_were_edited_are_refused_and_can_be_kept_again(head):
    head.keep_answers("test", ANSWERS)
    path = head.folder / "predictions-test.csv"
    path.write_text(path.read_text().replace("0.75", "0.85"))
    opened = StoredHead.open(head.folder)
    with pytest.raises(RecordDamaged, match="its digest is not the recorded one"):
        opened.answers("test")
    assert opened.keep_answers("test", ANSWERS).answers("test") == ANSWERS


def test_another_head_inherits_no_answers(head):
    for split in ("val", "test"):
        head.keep_answers(split, ANSWERS)
    discard(head.folder)
    assert stored(head.folder) is None
    assert not list(head.folder.glob("predictions-*"))
    discard(head.folder)
