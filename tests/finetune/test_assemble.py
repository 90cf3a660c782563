from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.finetune.assemble import Assembled
from cars_bench.training.heads import build_head
from cars_bench.training.specs import DenseLayer, HeadSpec


@pytest.fixture
def assembled() -> Assembled:
    head = build_head(HeadSpec(layers=(DenseLayer(8),)), (16,), 3, seed=1)
    return Assembled(build_backbone("tiny", "none", 48), "avg", head)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)


@pytest.mark.parametrize("boundary", ["block1", "block2"])
def test_the_part_above_a_block_continues_what_is_below_it(
    assembled: Assembled, pixels: np.ndarray, boundary: str
) -> None:
    below = assembled.backbone.trunk(boundary).predict_on_batch(pixels)
    whole = assembled.whole().predict_on_batch(pixels)
    np.testing.assert_allclose(
        assembled.above(boundary).predict_on_batch(below), whole, rtol=1e-5, atol=1e-5
    )


def test_the_finished_model_gives_probabilities_of_the_same_layers(
    assembled: Assembled, pixels: np.ndarray
) -> None:
    said = assembled.finished().predict_on_batch(pixels)
    np.testing.assert_allclose(said.sum(1), 1, rtol=1e-5)
    logits = assembled.whole().predict_on_batch(pixels)
    np.testing.assert_array_equal(said.argmax(1), logits.argmax(1))
    assert {layer.name for layer in assembled.finished().layers} >= {
        layer.name for layer in assembled.backbone.model.layers
    }


def test_the_whole_model_is_one_and_the_same_each_time(assembled: Assembled) -> None:
    assert assembled.whole() is assembled.whole()
    assert replace(assembled, pooling="max").whole() is not assembled.whole()
