from __future__ import annotations

import json
from pathlib import Path

import keras
import pytest

from cars_bench.errors import CacheStale
from cars_bench.evaluation.predictions import Prediction
from cars_bench.finetune.look_again import look_again
from cars_bench.finetune.looks import LOOKS_FILE, RIGHT, WRONG, choose, write_looks
from cars_bench.finetune.run import FinetuneResult
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


def _answer(name: str, right: bool, probability: float) -> Prediction:
    return Prediction(name, "a", ("a" if right else "b",), (probability,))


def test_confident_errors_come_first_and_right_answers_are_spread() -> None:
    answers = [_answer(f"w{n:02}", False, n / 100) for n in range(40)]
    answers += [_answer(f"r{n:03}", True, 0.9) for n in range(100)]
    chosen = choose(answers)
    assert [item.image_id for item in chosen[:2]] == ["w39", "w38"]
    assert len(chosen) == WRONG + RIGHT
    assert (chosen[WRONG].image_id, chosen[-1].image_id) == ("r000", "r099")
    assert choose([]) == []


def test_a_finished_run_carries_its_heat(finished_once: tuple[Path, FinetuneResult]) -> None:
    folder = finished_once[1].folder
    images = json.loads((folder / LOOKS_FILE).read_text())["images"]
    assert len(images) == len({item["image_id"] for item in images}) > 0
    for item in images:
        cells = [cell for row in item["heat"] for cell in row]
        assert min(cells) >= 0
        assert max(cells) in (0, 1)


def test_it_is_computed_again_only_where_it_is_missing(finished: Workspace) -> None:
    (path,) = finished.studies.glob(f"*/final/*/{LOOKS_FILE}")
    before = path.read_bytes()
    assert look_again(finished, None, Progress()) == []
    path.unlink()
    assert look_again(finished, None, Progress()) == [path]
    assert path.read_bytes() == before


def test_other_images_are_not_looked_at(finished: Workspace) -> None:
    (path,) = finished.studies.glob(f"*/final/*/{LOOKS_FILE}")
    path.unlink()
    (study,) = finished.studies.glob("*/study.json")
    document = json.loads(study.read_text())
    document["dataset"]["digest"] = "another"
    study.write_text(json.dumps(document))
    with pytest.raises(CacheStale, match="changed"):
        look_again(finished, None, Progress())


def test_another_backend_leaves_it_out(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert write_looks(tmp_path, None, None) is None
