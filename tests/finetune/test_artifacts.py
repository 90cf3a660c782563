from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cars_bench.data.dataset import Dataset
from cars_bench.data.pixels import LiveImages
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.runs import Run
from cars_bench.training.engine import logits_of
from cars_bench.workspace import Workspace, sha256_file

Finished = tuple[Path, Run]

PLAIN_KERAS = """
import csv, json, sys
import keras, numpy as np
from PIL import Image
folder, table = sys.argv[1:]
paths = {row["image_id"]: row["path"] for row in csv.DictReader(open(table))}
model = keras.models.load_model(folder + "/model.keras")
names = json.load(open(folder + "/run.json"))["class_names"]
worst = 0.0
for row in csv.DictReader(open(folder + "/predictions-val.csv")):
    pixels = np.asarray(Image.open(paths[row["image_id"]]).convert("RGB"), np.float32)
    said = model.predict_on_batch(pixels[None])[0]
    assert names[int(said.argmax())] == row["pred1"], row
    worst = max(worst, abs(float(said.max()) - float(row["prob1"])))
assert "cars_bench" not in sys.modules and "cars-bench" not in sys.modules
print(worst)
"""


def test_every_file_is_there_and_nothing_half_written(finished_once: Finished) -> None:
    folder = finished_once[1].folder
    assert {path.name for path in folder.iterdir()} >= {
        "run.json",
        "model.keras",
        "model.weights.h5",
        "history.csv",
        "predictions-val.csv",
        "predictions-val-frozen.csv",
        "predictions-test.csv",
        "predictions-test-frozen.csv",
    }
    assert not list(folder.glob(".*tmp*"))
    assert len((folder / "history.csv").read_text().splitlines()) == 4


def test_the_model_loads_in_plain_keras_and_predicts_the_same(
    finished_once: Finished, tmp_path: Path
) -> None:
    root, result = finished_once
    script = tmp_path / "plain.py"
    script.write_text(PLAIN_KERAS)
    table = root / "cache" / "datasets" / "tiny" / "dataset.csv"
    command = [sys.executable, "-P", str(script), str(result.folder), str(table)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 1e-4


def test_the_weights_file_gives_the_saved_predictions(finished_once: Finished) -> None:
    root, result = finished_once
    model = FinishedModel.open(Workspace(root))
    records = Dataset.load(Workspace(root)).records("test")
    logits = logits_of(model.load(), LiveImages(records, model.image_size))
    saved = read_predictions(result.folder / "predictions-test.csv")
    said = [model.class_names[label] for label in logits.argmax(1)]
    assert [row.answers[0] for row in saved] == said


def test_digests_in_the_record_are_those_of_the_files(finished_once: Finished) -> None:
    run = finished_once[1]
    assert run.record.sha256 == {
        name: sha256_file(run.folder / name) for name in ("model.keras", "model.weights.h5")
    }
