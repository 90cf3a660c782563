"""The catalogue: known names, and what is said about unknown ones."""

from __future__ import annotations

import pytest

from cars_bench.backbones import catalogue
from cars_bench.errors import UsageError

EXPECTED = [
    "resnet50", "resnet101", "resnet50v2", "resnet101v2", "mobilenet-v2", "efficientnet-b0",
    "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", "efficientnet-lite0", "tiny",
]  # fmt: skip


def test_every_promised_backbone_is_there():
    assert catalogue.names() == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_default_unfreeze_is_one_of_the_blocks_and_not_the_stem(name):
    spec = catalogue.spec(name)
    assert spec.default_unfreeze in spec.blocks[1:]
    assert spec.name == name


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="resnet9000") as caught:
        catalogue.spec("resnet9000")
    assert "efficientnet-lite0" in caught.value.fix
