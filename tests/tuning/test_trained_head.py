"""Stored heads: the record, the witness, the weights; what will do and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cars_bench.errors import CarsBenchError, ModelMissing, RecordDamaged
from cars_bench.training.engine import logits_of
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import head_of_trial, read_head, store_winner
from tests.rewriting import rewrite
from tests.tuning.studies import WIDTH, make_cache

TRIAL = Trial(
    trial_id="t0001",
    number=1,
    values={},
    head=HeadSpec(layers=(DenseLayer(8),)),
    training=TrainingSpec(epochs=4, batch_size=16, learning_rate=0.05, patience_epochs=0),
    status="completed",
    score=0.9,
    low=0.1,
    best_epoch=2,
)


@pytest.fixture
def cache(workspace, tiny_dataset):
    return make_cache(workspace, tiny_dataset)


@pytest.fixture
def study(workspace, tiny_dataset, cache):
    return Study.open_or_create(workspace, cache, tiny_dataset, "mine")


def test_it_comes_back_and_answers_as_its_witness_says(study, cache):
    head = store_winner(study, TRIAL, cache)
    assert head.spec == TRIAL.head
    assert (head.trial_id, head.shape, head.refit) == ("t0001", (WIDTH,), "")
    assert head.class_names == study.class_names
    np.testing.assert_allclose(logits_of(head.model(), cache.load("val").x), head.logits, atol=1e-5)
    right = float((head.logits.argmax(1) == head.labels).mean())
    assert head.record.score == pytest.approx(right)


def test_its_keys_are_these(study, cache):
    folder = store_winner(study, TRIAL, cache).folder
    assert list(json.loads((folder / "winner.json").read_text())) == [
        "schema_version", "trial_id", "study", "head", "training", "refit", "score",
        "ledger_score", "best_epoch", "width", "class_names", "cache_key", "dataset",
        "weights_sha256", "tables", "sides", "boxes",
            "checksum",
    ]  # fmt: skip


def test_a_refit_trains_on_both_splits_for_the_trials_best_epochs(study, cache):
    head = store_winner(study, TRIAL, cache, "train+val")
    assert (head.refit, head.record.score, head.record.best_epoch) == ("train+val", None, 2)
    assert head_of_trial(study, TRIAL, cache, refit=True).folder == head.folder
    # It has seen the images that are still to measure by.
    assert head_of_trial(study, TRIAL, cache, refit=False).folder.parent.name == "heads"


def test_what_is_stored_is_not_trained_again(study, cache):
    weights = store_winner(study, TRIAL, cache).folder / "head.weights.h5"
    before = weights.stat().st_mtime_ns
    assert head_of_trial(study, TRIAL, cache, refit=False).folder == weights.parent
    store_winner(study, TRIAL, cache)
    assert weights.stat().st_mtime_ns == before


def test_another_winner_takes_no_answers_of_the_last_one_with_it(study, cache):
    folder = store_winner(study, TRIAL, cache).folder
    kept = folder / "predictions-test.csv"
    kept.write_text("of the first")
    store_winner(study, TRIAL, cache)
    assert kept.is_file()
    store_winner(study, replace(TRIAL, trial_id="t0002"), cache)
    assert not kept.exists()


def test_one_that_is_worse_than_its_trial_is_refused(study, cache):
    with pytest.raises(CarsBenchError, match="below the interval"):
        store_winner(study, replace(TRIAL, score=1.5, low=1.4), cache)


def test_damage_is_found(study, cache):
    head = store_winner(study, TRIAL, cache)
    weights = head.folder / "head.weights.h5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(RecordDamaged, match="digest"):
        head.model()
    weights.unlink()
    with pytest.raises(RecordDamaged, match="missing"):
        head.model()
    witness = head.folder / "witness.npz"
    edited = {"image_ids": np.array(head.image_ids), "labels": head.labels}
    for logits in (head.logits[:, 1:], head.logits[1:], head.logits + np.nan, "text"):
        np.savez(witness, logits=logits, **edited)
        with pytest.raises(RecordDamaged, match=r"witness\.npz is damaged"):
            read_head(head.folder)
    witness.write_bytes(witness.read_bytes()[:100])
    with pytest.raises(RecordDamaged, match=r"witness\.npz is damaged"):
        read_head(head.folder)
    rewrite(head.folder / "winner.json", lambda values: values["tables"].clear())
    np.savez(witness, image_ids=["a"], labels=[0], logits=[[0.5]])
    with pytest.raises(RecordDamaged, match=r"witness\.npz is damaged .its shapes are"):
        read_head(head.folder)
    (head.folder / "winner.json").write_text("{}")
    with pytest.raises(RecordDamaged):
        read_head(head.folder)
    with pytest.raises(ModelMissing):
        read_head(head.folder / "nowhere")
