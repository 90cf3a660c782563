"""`cars-bench predict`: what it prints and how it fails."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from cars_bench.cli.predict import predict
from cars_bench.cli.prepare import prepare
from cars_bench.cli.session import Session
from cars_bench.data.detection import DetectorFiles
from cars_bench.finetune import predict as prediction
from cars_bench.finetune.predict import Predicted


def test_predict_counts_images_and_heatmaps(finished, tmp_path: Path, capsys):
    session = Session(finished, quiet=True)
    photos = finished.root / "source" / "images"
    options = {"paths": [photos], "output": tmp_path / "out.csv", "heatmaps": tmp_path / "heat"}
    assert session.run(lambda: predict(session, **options)) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        f"written: {tmp_path / 'out.csv'} (60 images)",
        f"heatmaps: {tmp_path / 'heat'} (60 images)",
    ]
    assert len(list((tmp_path / "heat").glob("*.png"))) == 60


@pytest.mark.parametrize("command", [prepare, predict])
def test_every_file_of_a_detector_can_be_named(command):
    wanted = {f"detector_{field.name}" for field in fields(DetectorFiles)}
    assert wanted <= set(inspect.signature(command).parameters)


def test_the_answers_to_a_few_images_are_told(finished, tmp_path: Path, capsys):
    session = Session(finished, quiet=True)
    photo = finished.root / "source" / "images" / "000.png"
    options = {"paths": [photo], "output": tmp_path / "out.csv"}
    assert session.run(lambda: predict(session, **options)) == 0
    answer, written = capsys.readouterr().out.splitlines()
    assert re.match(r"000\.png: (bar|cross|disc|square) \d+\.\d%", answer)
    assert written.endswith("out.csv (1 image)")


def test_json_names_what_could_not_be_read(finished, tmp_path: Path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes((finished.root / "source/images/000.png").read_bytes())
    (photos / "empty.png").write_bytes(b"")
    session = Session(finished, json_output=True, quiet=True)
    options = {"paths": [photos], "output": tmp_path / "out.csv"}
    assert session.run(lambda: predict(session, **options)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "schema_version": 1,
        "output": str(tmp_path / "out.csv"),
        "images": 1,
        "unreadable": {"empty.png": "the file is empty"},
        "heatmaps": 0,
        "warnings": [],
        "temperature": 1.0,
        "found": None,
        "whole": None,
    }


def test_before_fine_tuning_there_is_nothing_to_predict_with(tuned, tmp_path: Path, capsys):
    session = Session(tuned, quiet=True)
    photos = tuned.root / "source" / "images"
    options = {"paths": [photos], "output": tmp_path / "out.csv"}
    assert session.run(lambda: predict(session, **options)) == 3
    assert "cars-bench finetune --best" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (2, "taken whole, nothing was found in it: 0.png, 1.png"),
        (12, "8.png, 9.png and 2 more (--json names all)"),
    ],
)
def test_images_in_which_nothing_was_found_are_named(
    workspace, tmp_path: Path, capsys, monkeypatch, count, said
):
    names = tuple(f"{number}.png" for number in range(count))
    found = Predicted(path=tmp_path / "out.csv", images=count + 1, unreadable={}, whole=names)
    monkeypatch.setattr(prediction, "predict", lambda *_: found)
    for as_json in (False, True):
        session = Session(workspace, json_output=as_json, quiet=True)
        assert session.run(lambda session=session: predict(session, paths=[tmp_path])) == 0
    *_, of, named, document = capsys.readouterr().out.splitlines()
    assert of == f"cut to a box: 1 of {count + 1} images"
    assert named.endswith(said)
    assert json.loads(document)["whole"] == list(names)
