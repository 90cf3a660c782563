from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.errors import RecordDamaged
from cars_bench.evaluation.predictions import Prediction
from cars_bench.finetune.heatmaps import (
    MOST_RIGHT,
    MOST_WRONG,
    Heatmap,
    Heatmaps,
    choose,
    overlaid,
    read_heatmaps,
    write_heatmaps,
)

FOUND = Heatmaps("Grad-CAM", (Heatmap("a.png", "disc", ((0.0, 0.5), (1.0, 0.25))),))


def _answer(name: str, right: bool, probability: float) -> Prediction:
    return Prediction(name, "a", ("a" if right else "b",), (probability,))


def test_confident_errors_come_first_and_right_answers_are_spread() -> None:
    answers = [_answer(f"w{n:02}", False, n / 100) for n in range(40)]
    answers += [_answer(f"r{n:03}", True, 0.9) for n in range(100)]
    chosen = choose(answers)
    assert [item.image_id for item in chosen[:2]] == ["w39", "w38"]
    assert len(chosen) == MOST_WRONG + MOST_RIGHT
    assert (chosen[MOST_WRONG].image_id, chosen[-1].image_id) == ("r000", "r099")
    assert choose([]) == []


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_heatmaps(tmp_path) is None
    path = write_heatmaps(tmp_path, FOUND)
    assert read_heatmaps(tmp_path) == FOUND
    path.write_text(path.read_text().replace("heat", "hat"))
    with pytest.raises(RecordDamaged, match=r"heatmaps\.json"):
        read_heatmaps(tmp_path)


def test_heat_brightens_a_picture_turned_grey() -> None:
    picture = Image.new("RGB", (40, 20), "red")
    heat = np.array([[0.0, 0.0, 1.0, 1.0]])
    seen = np.asarray(overlaid(picture, heat), int)
    assert seen.shape == (20, 40, 3)
    cold = seen[:, 0]
    hot = seen[:, -1]
    assert (cold == cold[0]).all()
    assert hot.sum() > cold.sum()
    assert hot[0].tolist() == [203, 188, 48]  # viridis' yellow at 72% over grey 76
    assert cold[0, 0] - cold[0, 2] < 0  # viridis' violet
