from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.backbones.catalogue import CATALOGUE
from cars_bench.cache.extract import extract
from cars_bench.cache.manifest import read_manifest
from cars_bench.cache.options import ExtractOptions
from cars_bench.data.policies import Policy, policy
from cars_bench.errors import UsageError
from cars_bench.progress import Progress
from tests.cache.conftest import TINY


def test_flags_win_over_settings_and_weights_belong_to_a_backbone(workspace):
    options = replace(TINY, pooling="max")
    workspace.remember("cache", key="k", **options.to_settings())
    same = ExtractOptions.resolve(workspace, views=4, pooling=None)
    assert (same.pooling, same.weights, same.views) == ("max", "none", 4)
    other = ExtractOptions.resolve(workspace, backbone="resnet50")
    assert (other.weights, other.image_size, other.pooling) == ("imagenet", 224, "max")
    assert ExtractOptions.resolve(workspace, boundary="none").boundary is None


@pytest.mark.parametrize(
    "wrong", [{"views": 0}, {"batch_size": 0}, {"dtype": "int8"}, {"pooling": "median"}]
)
def test_an_option_outside_its_range_is_refused(wrong):
    with pytest.raises(UsageError):
        ExtractOptions(**wrong)


@pytest.mark.parametrize("boundary", [None, "block2"])
def test_a_manifest_tells_the_options_it_was_made_with(workspace, tiny_dataset, boundary):
    asked = replace(TINY, boundary=boundary, augment=policy("light"), seed=3, dataset="tiny")
    key = extract(workspace, asked, Progress()).key
    manifest = read_manifest(workspace.features / key)
    assert ExtractOptions.of(manifest.origin, manifest.views("train")) == asked


def test_a_policy_itself_is_not_taken_over_by_later_extractions(workspace):
    workspace.remember("cache", **ExtractOptions(backbone="tiny", augment="light").to_settings())
    own = ExtractOptions(backbone="tiny", augment=Policy(flip=True))
    workspace.remember("cache", **own.to_settings())
    assert ExtractOptions.resolve(workspace).augment == "default"


@pytest.mark.parametrize("backbone", ["tiny", "resnet50", "efficientnet-lite0", "efficientnet-b3"])
def test_pictures_are_as_large_as_the_backbones_row_says_unless_told_otherwise(workspace, backbone):
    own = CATALOGUE[backbone].image_size
    assert ExtractOptions.resolve(workspace, backbone=backbone).image_size == own
    asked = ExtractOptions.resolve(workspace, backbone=backbone, image_size=96)
    assert asked.image_size == 96


@pytest.mark.parametrize("side", [0, -5, 31])
def test_a_size_that_no_network_takes_is_refused(workspace, side):
    with pytest.raises(UsageError, match=f"--image-size {side} is less than 32"):
        ExtractOptions.resolve(workspace, backbone="tiny", image_size=side)
