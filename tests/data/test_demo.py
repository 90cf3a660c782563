"""The demo set: reproducible, boxed, and read like any other."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.data.csv_labels import read_csv
from cars_bench.data.demo import HEIGHT, WIDTH, draw_demo, draw_scene
from cars_bench.data.demo_models import MODELS
from cars_bench.progress import Progress


def test_there_are_twelve_classes_with_names_of_their_own():
    assert len({model.name for model in MODELS}) == len(MODELS) >= 12


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_scene_depends_on_seed_and_number_alone(model):
    picture, box = draw_scene(model, 3, 7)
    again, same_box = draw_scene(model, 3, 7)
    assert picture.size == (WIDTH, HEIGHT)
    assert box == same_box
    assert np.array_equal(np.asarray(picture), np.asarray(again))
    assert not np.array_equal(np.asarray(picture), np.asarray(draw_scene(model, 4, 7)[0]))


def test_a_box_holds_most_of_a_car():
    for number in range(24):
        x1, y1, x2, y2 = draw_scene(MODELS[number % len(MODELS)], 0, number)[1]
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        assert (x2 - x1) / WIDTH > 0.5


def test_the_set_goes_through_the_ordinary_reader(tmp_path):
    labels = read_csv(draw_demo(tmp_path, 0, Progress(), images=36))
    assert labels.layout == "csv with boxes"
    assert labels.table["class_name"].value_counts().unique().tolist() == [3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "labels.csv"]
    assert len(list((tmp_path / "images").iterdir())) == 36
