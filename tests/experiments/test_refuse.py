"""What cannot be is refused by attempt and line, in a dry run as in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.errors import UsageError
from cars_bench.experiments.experiment import read_experiment
from cars_bench.experiments.forecast import forecast
from cars_bench.experiments.refuse import refuse_impossible
from cars_bench.experiments.run import run_experiment
from cars_bench.finetune.unfreeze import parse_unfreeze
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.experiments.small import CONFIG, small

SECOND = "summary: unfrozen after warm-up"


def with_data(said: str) -> tuple[str, str]:
    return (SECOND, f"{SECOND}\n    data: {said}")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("all-but:1", "all-but:9", ("line 20", "surgery", "all-but:9")),
        ("all-but:1", "block9", ("line 20", "surgery", "block9")),
        ("all-but:1", "last:99", ("line 20", "surgery", "last:99")),
        ("{backbone: tiny", "{backbone: tinny", ("line 5", "one-dense", "tinny")),
        (SECOND, f"{SECOND}\n    features: {{backbone: tinny}}", ("line 18", "surgery", "tinny")),
        (*with_data("{split: 65/20}"), ("line 18", "surgery", "65/20")),
        (*with_data("{crop: box}"), ("line 18", "surgery", "--crop box")),
        (*with_data("{boxes: sources}"), ("line 18", "surgery", "--boxes sources")),
        (*with_data("{boxes: 'detector:sdd'}"), ("line 18", "surgery", "sdd")),
        (*with_data("{boxes: detector, detect_threshold: 7}"), ("line 18", "surgery", "7")),
        (*with_data("{detect_classes: car}"), ("line 18", "surgery", "without one")),
        (*with_data("{boxes: detector, crop: boxes}"), ("line 18", "surgery", "whole")),
        (
            "layers: [{units: 16}]", "layers: [{units: 16}], stages: [{filters: 4}]",
            ("line 9", "one-dense", "map"),
        ),
        (
            "epochs: 2, batch_size: 16", "epochs: 2, mixup: 0.2",
            ("line 21", "surgery", "mixed"),
        ),
    ],
)  # fmt: skip
def test_it_is_refused_before_anything_is_run_or_forecast(
    before: str, after: str, words: tuple[str, ...], tmp_path: Path, tiny_source: Path
):
    text = CONFIG.replace(before, after, 1)
    if "mixup" in after:
        text = text.replace("units: 16}]", "units: 16}], box: true")
    experiment = small(tmp_path / "shapes", text)
    workspace = Workspace(tmp_path / "w")
    for ask in (
        lambda: forecast(workspace, experiment, tiny_source),
        lambda: run_experiment(workspace, experiment, tiny_source, Progress()),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        for word in ("config.yml", *words):
            assert word in caught.value.message
    assert not workspace.root.exists()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("views: 2}", "views: 2, runtime: tensorflw}", ("line 5", "runtime")),
        ("measure: test", "oracle: randm", ("line 13", "oracle")),
        ("measure: test", "epochs: 0", ("line 13", "epochs")),
        ("measure: test", "seed: -1", ("line 13", "seed")),
    ],
)
def test_a_value_that_a_stage_would_refuse_is_refused_as_the_config_is_read(
    before: str, after: str, words: tuple[str, ...], tmp_path: Path
):
    text = CONFIG.replace("runtime: tensorflow, ", "").replace(before, after, 1)
    with pytest.raises(UsageError) as caught:
        read_experiment(text, tmp_path)
    for word in words:
        assert word in caught.value.message


def test_a_head_with_a_box_is_not_asked_for_on_cut_pictures(tmp_path: Path):
    text = CONFIG.replace("units: 16}]", "units: 16}], box: true").replace(
        "    checks: true", "    data: {crop: boxes}"
    )
    with pytest.raises(UsageError, match="one-dense: A head with a box needs whole pictures"):
        refuse_impossible(small(tmp_path, text), Progress())


@pytest.mark.parametrize("text", ["all", "none", "block2", "all-but:1", "all-but:3", "last:3"])
def test_what_the_catalogue_knows_the_network_has(text: str, tmp_path: Path):
    experiment = small(tmp_path, CONFIG.replace("all-but:1", text).split("  - name: no-warm-up")[0])
    refuse_impossible(experiment, Progress())
    assert parse_unfreeze(text, build_backbone("tiny", "none", 48)).text == text
