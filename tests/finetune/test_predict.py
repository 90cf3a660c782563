from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.errors import InputError
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.predict import predict
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


def test_a_folder_is_predicted_as_the_test_images_were(finished: Workspace, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    records = Dataset.load(finished).records("test")
    for number, record in enumerate(records):
        shutil.copy(record.path, photos / ("more" if number % 2 else "") / record.path.name)
    (photos / "page.jpg").write_text("<html>404</html>")
    (photos / "empty.png").write_bytes(b"")
    (photos / "notes.txt").write_text("not an image")

    result = predict(finished, photos, None, tmp_path / "out.csv", Progress())

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


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_is_missing_or_empty(finished: Workspace, tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "photos").mkdir()
    with pytest.raises(InputError):
        predict(finished, tmp_path / "photos", None, tmp_path / "out.csv", Progress())
    assert not (tmp_path / "out.csv").exists()
