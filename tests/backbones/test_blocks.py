"""Names of blocks, and where they begin and end."""

from __future__ import annotations

import pytest

from cars_bench.backbones.blocks import BlockMap
from cars_bench.backbones.catalogue import spec
from cars_bench.errors import UsageError

RESNET = [
    "pixels", "conv1_conv", "pool1_pool", "conv2_block1_1_conv", "conv2_block1_out",
    "conv2_block2_1_conv", "conv2_block2_out", "conv3_block1_0_conv", "conv3_block1_out",
]  # fmt: skip
MOBILENET = [
    "pixels", "Conv1", "expanded_conv_depthwise", "block_1_expand", "block_2_add",
    "block_3_expand", "block_16_project_BN", "Conv_1", "out_relu",
]  # fmt: skip
LITE = ["pixels", "stem_conv", "block1a_bn", "block6a_add", "block6b_add", "top_conv"]


def test_resnet_stages_and_residual_blocks():
    blocks = BlockMap.of(spec("resnet50"), RESNET)
    assert blocks.names == [
        "conv1", "conv2", "conv3", "conv2_block1", "conv2_block2", "conv3_block1",
    ]  # fmt: skip
    assert blocks.blocks[blocks.last("conv2")].layers[-1] == "conv2_block2_out"
    assert blocks.blocks[0].layers == ("pixels", "conv1_conv", "pool1_pool")


def test_what_follows_the_last_residual_block_belongs_to_it():
    blocks = BlockMap.of(spec("resnet50v2"), [*RESNET, "post_bn", "post_relu"])
    assert blocks.blocks[-1].layers[-1] == "post_relu"
    assert blocks.blocks[-1].name == "conv3_block1"


def test_mobilenet_blocks_are_named_by_stage():
    blocks = BlockMap.of(spec("mobilenet-v2"), MOBILENET)
    assert [block.name for block in blocks.blocks] == [
        "stem", "block1a", "block2a", "block2b", "block3a", "block7a", "top",
    ]  # fmt: skip
    assert blocks.blocks[-1].layers == ("Conv_1", "out_relu")


@pytest.mark.parametrize(
    ("block", "below"),
    [("block6", "block1"), ("block6a", "block1"), ("block6b", "block6a"), ("top", "block6")],
)
def test_below_prefers_the_name_of_the_stage(block, below):
    assert BlockMap.of(spec("efficientnet-lite0"), LITE).below(block) == below


def test_nothing_lies_below_the_stem():
    with pytest.raises(UsageError, match="pixels"):
        BlockMap.of(spec("efficientnet-lite0"), LITE).below("stem")


def test_a_layer_is_found_in_its_block():
    blocks = BlockMap.of(spec("efficientnet-lite0"), LITE)
    assert blocks.holding("block6b_add") == "block6b"
    with pytest.raises(UsageError, match="no_such"):
        blocks.holding("no_such")


def test_unknown_block_lists_the_names():
    with pytest.raises(UsageError, match="conv5") as caught:
        BlockMap.of(spec("efficientnet-lite0"), LITE).last("conv5")
    assert "block6b" in caught.value.fix
