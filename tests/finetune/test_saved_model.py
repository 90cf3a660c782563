from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.predict import PredictOptions, predict
from cars_bench.finetune.runs import Run
from cars_bench.finetune.saved_model import check_saved_model
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

# TensorFlow's pixels of these photos are 1.6 grey levels from Pillow's on average, which moves
# this model's probabilities by 7e-5; without antialiasing it is 12 levels and more than 5e-4.
TOLERANCE = 2e-4

SERVE = """
import json, sys
import tensorflow as tf
classify = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
said = classify(images=tf.constant([open(path, "rb").read() for path in sys.argv[2:]]))
print(json.dumps([row[0].decode() for row in said["classes"].numpy()]))
assert said["probabilities"].shape[1] == 4
assert "keras" not in sys.modules or "cars_bench" not in sys.modules
"""


def test_the_saved_model_takes_files_and_gives_names(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    root, result = finished_once
    records = Dataset.load(Workspace(root)).records("test")
    script = tmp_path / "serve.py"
    script.write_text(SERVE)
    paths = [str(record.path) for record in records]
    command = [sys.executable, "-P", str(script), str(result.folder / "saved_model"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    saved = read_predictions(result.folder / "predictions-test.csv")
    assert said == [row.answers[0] for row in saved]


def test_the_saved_model_answers_large_photos_as_predict_does(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    root, result = finished_once
    photos = _photos(root, tmp_path)
    predict(Workspace(root), [photos], PredictOptions(tmp_path / "out.csv"), Progress())
    for row in read_predictions(tmp_path / "out.csv"):
        predicted = dict(zip(row.answers, row.probabilities, strict=True))
        found = _said(result, (photos / row.image_id).read_bytes())
        assert found == pytest.approx(predicted, abs=TOLERANCE)


def test_the_saved_model_takes_pixels_as_they_are_stored(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    root, result = finished_once
    image = Image.open(Dataset.load(Workspace(root)).records("test")[0].path)
    sideways = Image.Exif()
    sideways[0x0112] = 6
    image.save(tmp_path / "plain.jpg")
    image.save(tmp_path / "turned.jpg", exif=sideways)
    image.save(tmp_path / "plain.png")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "clear.png")
    said = {path.name: _said(result, path.read_bytes()) for path in tmp_path.iterdir()}
    assert said["turned.jpg"] == said["plain.jpg"]
    assert said["clear.png"] == said["plain.png"]


def test_the_check_compares_with_the_model_and_counts_what_tensorflow_cannot_read(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    root, result = finished_once
    model = FinishedModel.open(Workspace(root))
    photos = _photos(root, tmp_path)
    Image.open(photos / "0.jpg").save(photos / "0.tiff")
    files = [path.read_bytes() for path in photos.iterdir()]
    saved, whole = result.folder / "saved_model", model.assembled().finished()
    found = check_saved_model(saved, whole, model.class_names, model.image_size, files)
    assert (found.images, found.undecodable, found.top1_agreement) == (3, 1, 1.0)
    assert 0 < found.max_abs_diff < TOLERANCE


def test_the_run_records_how_well_the_saved_model_agrees(
    finished_once: tuple[Path, Run],
) -> None:
    check = finished_once[1].record.saved_model_check
    assert check
    assert (check.images, check.undecodable, check.top1_agreement) == (12, 0, 1.0)
    # stored at the network's size: no resize
    assert check.max_abs_diff == pytest.approx(0, abs=1e-5)


def _said(result: Run, data: bytes) -> dict[str, float]:
    """The SavedModel's probabilities of an encoded image, by class."""
    served = tf.saved_model.load(str(result.folder / "saved_model"))
    said = served.signatures["serving_default"](images=tf.constant([data]))
    names = [name.decode() for name in said["classes"].numpy()[0]]
    return dict(zip(names, said["probabilities"].numpy()[0].tolist(), strict=True))


def _photos(root: Path, tmp_path: Path) -> Path:
    """Three JPEG files of 500 x 333 pixels, drawn from images of the dataset."""
    (tmp_path / "photos").mkdir()
    for number, record in enumerate(Dataset.load(Workspace(root)).records("test")[:3]):
        large = Image.open(record.path).resize((500, 333), Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).integers(-20, 20, (333, 500, 1))
        pixels = np.clip(np.asarray(large, int) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.jpg", quality=90)
    return tmp_path / "photos"
