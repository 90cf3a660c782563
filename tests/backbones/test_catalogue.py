"""The catalogue: known names, and what is said about unknown ones."""

from __future__ import annotations

import pkgutil
import re

import pytest

from cars_bench.backbones import catalogue
from cars_bench.errors import UsageError
from tests.backbones.lites import LITES

EXPECTED = [
    "resnet50", "resnet101", "resnet50v2", "resnet101v2", "mobilenet-v2", "efficientnet-b0",
    "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", *LITES, "tiny", "pixels",
]  # fmt: skip


def test_every_promised_backbone_is_there():
    assert catalogue.names() == EXPECTED


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "pixels"])
def test_default_unfreeze_is_one_of_the_blocks_and_not_the_stem(name):
    spec = catalogue.spec(name)
    assert spec.default_unfreeze in spec.blocks[1:]
    assert spec.name == name


def test_below_a_network_on_the_picture_itself_nothing_is_unfrozen():
    spec = catalogue.spec("pixels")
    assert not spec.is_network
    assert spec.default_unfreeze == "none"


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="resnet9000") as caught:
        catalogue.spec("resnet9000")
    assert "efficientnet-lite0" in caught.value.fix


def test_the_names_of_preprocessings_are_those_of_existing_caches():
    # they are part of every key: a change here makes every cache stale
    assert {spec.preprocessing.text for spec in catalogue.CATALOGUE.values()} == {
        "caffe: RGB to BGR, minus (103.939, 116.779, 123.68)",
        "tf: x / 127.5 - 1",
        "efficientnet: (x / 255 - mean) / std of ImageNet, inside the network",
        "lite: (x - 127) / 128",
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_a_row_is_all_that_a_backbone_needs(name):
    row = catalogue.spec(name)
    assert callable(pkgutil.resolve_name(row.builder))
    assert re.compile(row.block_pattern).groups == (1 if row.stage_repeats else 2)
    assert row.random_gain > 0
    assert 0.9 < row.least_cosine < 1
