from __future__ import annotations

import keras
import numpy as np
import pytest

from cars_bench.backbones.build import Backbone, build_backbone
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.handoff import FrozenCheck
from cars_bench.finetune.unfreeze import (
    apply_unfreeze,
    check_frozen,
    parse_unfreeze,
    seed_dropout,
    values_of,
)
from cars_bench.training.engine import Examples
from cars_bench.training.heads import build_head
from cars_bench.training.loop import train
from cars_bench.training.specs import HeadSpec, TrainingSpec

ONE_STEP = TrainingSpec(learning_rate=0.01, batch_size=8, epochs=1)


@pytest.fixture(scope="module")
def resnet50() -> Backbone:
    return build_backbone("resnet50", "none", 32)


@pytest.fixture
def tiny() -> Backbone:
    return build_backbone("tiny", "none", 48)


@pytest.mark.parametrize(
    ("text", "boundary", "first"),
    [
        ("conv5", "conv4", "conv5_block1_1_conv"),
        ("conv5_block2", "conv5_block1", "conv5_block2_1_conv"),
        ("last:1", "conv5_block2", "conv5_block3_3_conv"),
        ("last:4", "conv5_block1", "conv5_block2_3_conv"),
        ("last:5", "conv5_block1", "conv5_block2_2_conv"),
        ("from:conv2_block2_1_conv", "conv2_block1", "conv2_block2_1_conv"),
        ("from:conv5_block3_2_conv", "conv5_block2", "conv5_block3_2_conv"),
        ("all", None, "conv1_conv"),
        ("all-but:1", "conv1", "conv2_block1_1_conv"),
        ("all-but:4", "conv4", "conv5_block1_1_conv"),
        (None, "conv4", "conv5_block1_1_conv"),
    ],
)
def test_where_training_begins_in_resnet50(
    resnet50: Backbone, text: str | None, boundary: str | None, first: str
) -> None:
    # Keras lists the projection of a block's shortcut beside its first convolutions.
    found = parse_unfreeze(text, resnet50)
    assert found.boundary == boundary
    assert first in found.layers
    assert not any(name.endswith("_bn") for name in found.layers)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_last_counts_convolutions(resnet50: Backbone, count: int) -> None:
    assert len(parse_unfreeze(f"last:{count}", resnet50).layers) == count


@pytest.mark.parametrize(
    ("text", "boundary", "layers"),
    [
        ("block3", "block2", ("block3_conv",)),
        ("block2", "block1", ("block2_conv", "block3_conv")),
        ("last:2", "block1", ("block2_conv", "block3_conv")),
        ("from:block2_bn", "block1", ("block3_conv",)),
        ("all", None, ("block1_conv", "block2_conv", "block3_conv")),
        ("none", "block3", ()),
    ],
)
def test_where_training_begins_in_tiny(
    tiny: Backbone, text: str, boundary: str | None, layers: tuple[str, ...]
) -> None:
    found = parse_unfreeze(text, tiny)
    assert (found.boundary, found.layers) == (boundary, layers)


def test_last_counts_depthwise_convolutions_too() -> None:
    lite = build_backbone("efficientnet-lite0", "none", 32)
    found = parse_unfreeze("last:5", lite).layers
    assert len(found) == 5
    assert sum("dw" in name or "depthwise" in name for name in found) == 1, found


def test_the_backbones_own_dropout_follows_the_seed() -> None:
    states = []
    for seed in (1, 1, 2):
        backbone = build_backbone("efficientnet-b0", "none", 32)
        seed_dropout(backbone, seed)
        dropouts = [layer for layer in backbone.model.layers if hasattr(layer, "seed_generator")]
        states.append([np.array(layer.seed_generator.state.value) for layer in dropouts])
    first, again, other = states
    assert first
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_above_the_last_layer_with_weights_there_is_nothing_to_train(resnet50: Backbone) -> None:
    with pytest.raises(UsageError, match="leaves nothing"):
        parse_unfreeze("from:conv5_block3_out", resnet50)


@pytest.mark.parametrize("text", ["conv9", "last:0", "last:4", "last:x", "from:nowhere", "block",
                                  "all-but:0", "all-but:4", "all-but:x"])  # fmt: skip
def test_what_names_nothing_is_refused(tiny: Backbone, text: str) -> None:
    with pytest.raises(UsageError):
        parse_unfreeze(text, tiny)


@pytest.mark.parametrize(("text", "below"), [("block2", "block1"), ("last:1", None), ("all", None)])
def test_one_step_on_shifted_data_moves_only_what_is_unfrozen(
    tiny: Backbone, text: str, below: str | None
) -> None:
    assembled = Assembled(tiny, "avg", build_head(HeadSpec(), (16,), 3))
    output = assembled.head.get_layer("logits")
    output.kernel.assign(np.random.default_rng(1).normal(size=(16, 3)))
    unfreeze = parse_unfreeze(text, tiny)
    apply_unfreeze(tiny, unfreeze)
    before = {item.path: np.array(item) for item in tiny.model.variables}
    frozen = values_of(tiny.model)
    labels = np.arange(8) % 3
    if below:
        model = assembled.above(below)
        shape = tiny.boundary_shape(below)
    else:
        model, shape = assembled.whole(), (48, 48, 3)
    x = np.random.default_rng(0).normal(500, 90, (8, 1, *shape)).astype(np.float32)
    train(model, ONE_STEP, Examples(x, labels), None, seed=0)

    changed = {item.path for item in tiny.model.variables if not _same(before[item.path], item)}
    assert changed == {f"{name}/kernel" for name in unfreeze.layers}
    count = len(unfreeze.layers)
    assert check_frozen(frozen, tiny.model) == FrozenCheck(15 - count, 12, count)


def test_a_frozen_variable_that_moved_is_named(tiny: Backbone) -> None:
    apply_unfreeze(tiny, parse_unfreeze("block3", tiny))
    frozen = values_of(tiny.model)
    kernel = tiny.model.get_layer("block1_conv").kernel
    kernel.assign(kernel + 1)
    with pytest.raises(CarsBenchError, match="block1_conv/kernel"):
        check_frozen(frozen, tiny.model)


def test_a_training_that_changed_nothing_is_noticed(tiny: Backbone) -> None:
    apply_unfreeze(tiny, parse_unfreeze("block3", tiny))
    with pytest.raises(CarsBenchError, match="did not change"):
        check_frozen(values_of(tiny.model), tiny.model)


def _same(before: np.ndarray, variable: keras.Variable) -> bool:
    return before.tobytes() == np.array(variable).tobytes()
