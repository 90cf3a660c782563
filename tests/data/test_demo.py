"""The demo set: reproducible, boxed, and read like any other.

Covers cars_bench/data/demo.py, cars_bench/data/demo_car.py and cars_bench/data/demo_models.py.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cars_bench.data.csv_labels import read_csv
from cars_bench.data.demo import HEIGHT, WIDTH, draw_demo, draw_scene
from cars_bench.data.demo_car import Paint, Pose, draw_car
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


def test_every_model_differs_from_every_other_in_shape():
    shapes = [dataclasses.replace(model, name="") for model in MODELS]
    assert all(one != other for one, other in itertools.combinations(shapes, 2))


def test_a_mirrored_car_fills_the_mirrored_box():
    pose = Pose(x=200.0, y=150.0, length=300.0, squeeze=1.0, radians=0.0, mirrored=False)
    paint = Paint((200, 0, 0), (0, 0, 90), (90, 90, 90))
    draw = ImageDraw.Draw(Image.new("RGB", (400, 200)))
    right = draw_car(draw, MODELS[0], pose, paint)
    left = draw_car(draw, MODELS[0], dataclasses.replace(pose, mirrored=True), paint)
    assert right == pytest.approx((400 - left[2], left[1], 400 - left[0], left[3]))


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
