from __future__ import annotations

import csv
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.detectors import choose
from cars_bench.errors import InputError, UsageError
from cars_bench.evaluation.calibration import Temperature
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune import predict as prediction
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.predict import PredictOptions, predict
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.cache.test_extract import digests
from tests.detectors.seeing import ColourDetector, crop, draw
from tests.rewriting import rewrite


def test_a_folder_is_predicted_as_the_test_images_were(finished: Workspace, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    records = Dataset.load(finished).records("test")
    for number, record in enumerate(records):
        shutil.copy(record.path, photos / ("more" if number % 2 else "") / record.path.name)
    (photos / "page.jpg").write_text("<html>404</html>")
    (photos / "empty.png").write_bytes(b"")
    (photos / "notes.txt").write_text("not an image")

    result = predict(finished, [photos], PredictOptions(tmp_path / "out.csv"), Progress())

    assert result.images == len(records)
    assert set(result.unreadable) == {"page.jpg", "empty.png"}
    assert "HTML" in result.unreadable["page.jpg"]
    rows = {Path(row.image_id).name: row for row in read_predictions(tmp_path / "out.csv")}
    folder = FinishedModel.open(finished).folder
    for row in read_predictions(folder / "predictions-test.csv"):
        found = rows[Path(row.image_id).name]
        assert found.answers == row.answers
        assert found.probabilities == pytest.approx(row.probabilities, abs=1e-4)
        assert found.true == ""


def test_files_that_cannot_be_read_are_named_and_the_rest_is_predicted(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = _photos(finished, tmp_path, "a.png", "closed.png")
    (photos / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    (photos / "album.jpg").mkdir()
    load_image = prediction.load_image

    def refusing(path: Path, size: int, box: object) -> np.ndarray:
        # Root may read every file, so the refusal is played.
        if path.name == "closed.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return load_image(path, size, box)

    monkeypatch.setattr(prediction, "load_image", refusing)
    result = predict(finished, [photos], PredictOptions(tmp_path / "out.csv"), Progress())
    assert result.images == 1
    assert result.unreadable == {
        "b.jpg": "it cannot be read: No such file or directory",
        "closed.png": "it cannot be read: Permission denied",
    }
    assert [row.image_id for row in read_predictions(tmp_path / "out.csv")] == ["a.png"]


def test_a_name_that_is_not_utf8_is_written_with_its_bytes_escaped(
    finished: Workspace, tmp_path: Path
) -> None:
    photos = _photos(finished, tmp_path, os.fsdecode(b"caf\xe9.png"), "straße.png")
    (photos / os.fsdecode(b"\xff.png")).write_bytes(b"")
    heatmaps = tmp_path / "heat"
    result = predict(
        finished, [photos], PredictOptions(tmp_path / "out.csv", heatmaps=heatmaps), Progress()
    )
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [row["image_id"] for row in rows] == ["caf\\xe9.png", "straße.png"]
    assert (result.heatmaps, result.unreadable) == (2, {"\\xff.png": "the file is empty"})


@pytest.mark.parametrize("heatmaps", [False, True])
def test_an_image_is_never_written_over(
    finished: Workspace, tmp_path: Path, heatmaps: bool
) -> None:
    photos = _photos(finished, tmp_path, "a.png", "a.png.png")
    before = digests(photos)
    options = PredictOptions(tmp_path / "out.csv", heatmaps=photos)
    if not heatmaps:
        options = PredictOptions(photos / "a.png")
    with pytest.raises(UsageError, match=r"a\.png.* would be overwritten"):
        predict(finished, [photos], options, Progress())
    assert digests(photos) == before


def test_files_and_folders_are_named_from_the_folder_that_holds_them(
    finished: Workspace, tmp_path: Path
) -> None:
    photos = _photos(finished, tmp_path, "b.png", "a.png", "c")
    alone = predict(finished, [photos / "b.png"], PredictOptions(tmp_path / "out.csv"), Progress())
    assert [row.image_id for row in alone.first] == ["b.png"]
    some = [photos / "b.png", photos / "c", photos / "a.png", photos / "b.png"]
    predict(finished, some, PredictOptions(tmp_path / "out.csv"), Progress())
    assert [row.image_id for row in read_predictions(tmp_path / "out.csv")] == [
        "b.png", "c", "a.png",
    ]  # fmt: skip
    (tmp_path / "more").mkdir()
    shutil.copy(photos / "a.png", tmp_path / "more")
    heat = tmp_path / "heat"
    both = [tmp_path / "more", photos / "a.png"]
    found = predict(finished, both, PredictOptions(tmp_path / "out.csv", heatmaps=heat), Progress())
    assert [row.image_id for row in found.first] == ["more/a.png", "photos/a.png"]
    assert sorted(path.parent.name for path in heat.rglob("*.png")) == ["more", "photos"]


def test_a_file_that_is_not_there_is_named(finished: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no .*nowhere\.jpg"):
        predict(
            finished, [tmp_path / "nowhere.jpg"], PredictOptions(tmp_path / "out.csv"), Progress()
        )


def test_a_disk_that_fills_while_writing_is_an_error(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(rows: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cars_bench.evaluation.predictions._cells", full)
    photos = _photos(finished, tmp_path, "a.png")
    with pytest.raises(OSError, match="No space"):
        predict(finished, [photos], PredictOptions(tmp_path / "out.csv"), Progress())


@pytest.mark.parametrize(("crop", "warnings"), [("none", 0), ("boxes", 1)])
def test_a_model_of_boxes_warns_about_whole_images(
    finished: Workspace, tmp_path: Path, crop: str, warnings: int
) -> None:
    path = FinishedModel.open(finished).folder / "run.json"
    rewrite(path, lambda values: values["dataset"].update(crop=crop))
    photos = _photos(finished, tmp_path, "a.png")
    result = predict(finished, [photos], PredictOptions(tmp_path / "out.csv"), Progress())
    assert len(result.warnings) == warnings


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_is_missing_or_empty(finished: Workspace, tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "photos").mkdir()
    with pytest.raises(InputError):
        predict(finished, [tmp_path / "photos"], PredictOptions(tmp_path / "out.csv"), Progress())
    assert not (tmp_path / "out.csv").exists()


def _photos(workspace: Workspace, tmp_path: Path, *names: str) -> Path:
    """A folder with one readable image under each name."""
    (tmp_path / "photos").mkdir()
    source = Dataset.load(workspace).records("test")[0].path
    for name in names:
        shutil.copy(source, tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_calibrated_answers_keep_their_order_and_are_as_sure_as_the_temperature_says(
    finished: Workspace, tmp_path: Path
) -> None:
    finished_model = FinishedModel.open(finished)
    warm = Temperature(value=2.0, images=12, before={}, after={})
    record = replace(finished_model.record, temperature=warm)
    Run(finished_model.folder, record).write()
    photos = [finished.root / "source" / "images"]
    predict(finished, photos, PredictOptions(tmp_path / "as-it-is.csv"), Progress())
    options = PredictOptions(tmp_path / "calibrated.csv", calibrated=True)
    assert predict(finished, photos, options, Progress()).temperature == 2.0
    pairs = zip(
        read_predictions(tmp_path / "as-it-is.csv"),
        read_predictions(tmp_path / "calibrated.csv"),
        strict=True,
    )
    for plain, cooled in pairs:
        assert cooled.answers == plain.answers
        assert cooled.probabilities[0] <= plain.probabilities[0]
        root = np.sqrt(plain.probabilities)  # the tiny dataset has no more than five classes
        assert cooled.probabilities == pytest.approx(root / root.sum(), abs=2e-3)


def test_a_model_without_a_temperature_says_why_it_cannot_be_calibrated(
    finished: Workspace, tmp_path: Path
) -> None:
    model = FinishedModel.open(finished)
    Run(model.folder, replace(model.record, temperature=None, refit=True)).write()
    options = PredictOptions(tmp_path / "out.csv", calibrated=True)
    with pytest.raises(UsageError, match="trained on the validation images") as caught:
        predict(finished, [finished.root / "source" / "images"], options, Progress())
    assert "leave out --calibrated" in caught.value.fix


def test_new_images_are_cut_by_the_detector_of_the_model(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FinishedModel.open(finished).run
    found = replace(run.record.dataset, crop="detector", detection=crop())
    replace(run, record=replace(run.record, dataset=found)).write()
    monkeypatch.setattr(choose, "open_detector", lambda name, files: ColourDetector())
    cut = draw(tmp_path / "photos" / "cut.png", red=(12, 8, 52, 40))
    draw(tmp_path / "photos" / "whole.png")
    draw(tmp_path / "alone" / "cut.png", (40, 32), red=(0, 0, 40, 32))
    taken: dict[str, object] = {}
    load_image = prediction.load_image
    monkeypatch.setattr(
        prediction,
        "load_image",
        lambda path, size, box: taken.update({path.name: box}) or load_image(path, size, box),
    )
    result = predict(
        finished, [tmp_path / "photos"], PredictOptions(tmp_path / "out.csv"), Progress()
    )
    assert (result.images, result.found, result.whole) == (2, 1, ("whole.png",))
    assert taken == {cut.name: (12, 8, 52, 40), "whole.png": None}
    predict(finished, [tmp_path / "alone"], PredictOptions(tmp_path / "alone.csv"), Progress())
    whole = {row.image_id: row for row in read_predictions(tmp_path / "out.csv")}
    (alone,) = read_predictions(tmp_path / "alone.csv")
    assert whole["cut.png"].probabilities == pytest.approx(alone.probabilities, abs=1e-5)
