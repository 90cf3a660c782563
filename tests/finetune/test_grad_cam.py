from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cars_bench.backbones.build import build_backbone
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CacheStale
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.grad_cam import add_heatmaps, draw_overlays, grad_cam, heatmaps_of
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.training.heads import build_head
from cars_bench.training.specs import HeadSpec
from cars_bench.workspace import Workspace
from tests.rewriting import rewrite


def assembled() -> Assembled:
    head = build_head(HeadSpec(), (16,), 4)
    kernel = head.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(0).normal(size=(16, 4)))
    return Assembled(build_backbone("tiny", "none", 48), "avg", head)


def test_heat_is_from_zero_to_one_and_explains_the_answer() -> None:
    model = assembled()
    pixels = np.random.default_rng(1).uniform(0, 255, (3, 48, 48, 3)).astype(np.float32)
    heat, answered = grad_cam(model, pixels)
    assert heat.shape == (3, 6, 6)
    assert heat.min() >= 0
    assert heat.max() <= 1
    assert (answered == np.asarray(model.whole().predict_on_batch(pixels)).argmax(1)).all()


def test_with_average_pooling_it_is_the_weighted_map() -> None:
    # Zhou et al. 2016: for a linear head on averaged features Grad-CAM is CAM.
    model = assembled()
    pixels = np.random.default_rng(2).uniform(0, 255, (1, 48, 48, 3)).astype(np.float32)
    heat, answered = grad_cam(model, pixels)
    weights = np.array(model.head.get_layer("logits").kernel)[:, answered[0]]
    cam = np.maximum(np.asarray(model.backbone.model.predict_on_batch(pixels))[0] @ weights, 0)
    np.testing.assert_allclose(heat[0], cam / max(cam.max(), 1e-12), atol=1e-4)


def test_pictures_are_written_by_name(tiny_dataset: Dataset, tmp_path: Path) -> None:
    records = tiny_dataset.records("test")[:2]
    names = ["a.png", "sub/b.png"]
    paths = {name: item.path for name, item in zip(names, records, strict=True)}
    written = draw_overlays(tmp_path, assembled(), paths, {})
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "a.png.png",
        "sub/b.png.png",
    ]
    assert all(Image.open(path).size == (48, 48) for path in written)


@pytest.mark.parametrize("letter", ["x", "é", "\udcff"])
def test_a_picture_of_an_image_with_the_longest_name_is_written_too(
    tiny_dataset: Dataset, tmp_path: Path, letter: str
) -> None:
    image = tiny_dataset.records("test")[0].path
    names = [letter * (248 // len(os.fsencode(letter))) + last for last in ("a.png", "b.png")]
    written = draw_overlays(tmp_path / "heat", assembled(), dict.fromkeys(names, image), {})
    assert sorted((tmp_path / "heat").iterdir()) == sorted(written)
    assert len(set(written)) == len(names)


def test_a_finished_run_carries_its_heat(finished_once: tuple[Path, Run]) -> None:
    heatmaps = finished_once[1].heatmaps()
    assert heatmaps
    assert heatmaps.method == "Grad-CAM"
    images = heatmaps.images
    assert len(images) == len({item.image_id for item in images}) > 0
    for item in images:
        cells = [cell for row in item.heat for cell in row]
        assert min(cells) >= 0
        assert max(cells) in (0, 1)


def test_it_is_computed_again_only_where_it_is_missing(finished: Workspace) -> None:
    (path,) = finished.studies.glob("*/final/*/heatmaps.json")
    before = path.read_bytes()
    assert add_heatmaps(finished, None, Progress()) == []
    path.unlink()
    assert add_heatmaps(finished, None, Progress()) == [path]
    assert path.read_bytes() == before


def test_other_images_are_not_looked_at(finished: Workspace) -> None:
    (path,) = finished.studies.glob("*/final/*/heatmaps.json")
    path.unlink()
    (study,) = finished.studies.glob("*/study.json")
    rewrite(study, lambda values: values["dataset"].update(digest="another"))
    with pytest.raises(CacheStale, match="changed"):
        add_heatmaps(finished, None, Progress())


def test_another_backend_leaves_it_out(
    finished_once: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.load(Workspace(finished_once[0]))
    answers = finished_once[1].predictions("finetuned", "test")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert answers
    assert heatmaps_of(assembled(), answers, dataset) is None
