from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune.run import FinetuneResult
from cars_bench.workspace import Workspace

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
    finished_once: tuple[Path, FinetuneResult], tmp_path: Path
) -> None:
    import json

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


def test_the_card_says_data_training_results_and_limits(
    finished_once: tuple[Path, FinetuneResult],
) -> None:
    result = finished_once[1]
    card = (result.folder / "model-card.md").read_text()
    for words in ("## Data", "## Training", "## Results", "## Limits", "'tiny'"):
        assert words in card
    document = result.document
    assert document["cache_key"] in card
    assert f"{document['finetuned']['test']['top1']['value']:.4f}" in card
