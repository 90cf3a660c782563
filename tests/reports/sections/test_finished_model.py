from __future__ import annotations

import shutil
from dataclasses import replace

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.finished_model import facts
from tests.reports.changes import with_record


def test_speed_size_and_place_of_the_chosen_model_are_told(finished, section):
    found = facts(finished)
    (file,) = found.files
    assert file.path == "tuning/drawn-tiny/final/t0001-conv3/model.keras"
    assert (file.bytes, file.size, file.kind) == (15_200_000, "15.2 MB", "Keras model")
    said = section("finetune")
    assert "43.1 ms an image alone and in 12.1 ms an image in a batch of 32" in said
    assert "A Processor, 2 cores" in said
    assert "model.keras Keras model 15.2 MB" in said


def test_a_folder_counts_with_all_that_is_in_it(finished, tmp_path):
    shutil.copytree(finished.run.folder, tmp_path / "run")
    inner = tmp_path / "run" / "saved_model" / "variables"
    inner.mkdir(parents=True)
    (inner / "data").write_bytes(bytes(2_000_000))
    run = replace(finished.run, folder=tmp_path / "run")
    found = facts(replace(finished, runs=(run,)))
    assert [(item.kind, item.size) for item in found.files][1] == (
        "TensorFlow SavedModel",
        "2.0 MB",
    )


def test_what_was_not_measured_or_is_not_here_is_said_to_be_so(finished, drawn):
    older = facts(with_record(finished, speed=None, sha256={}))
    assert (older.speed, older.files) == (None, ())
    assert facts(read_inputs(drawn("tuned"))) is None
