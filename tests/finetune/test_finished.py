from __future__ import annotations

import pytest

from cars_bench.errors import ModelMissing, RecordDamaged
from cars_bench.finetune.finished import FinishedModel
from cars_bench.workspace import Workspace
from tests.pipeline import flip_bit


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_a_flipped_bit_in_the_model_is_refused(finished: Workspace, name: str) -> None:
    model = FinishedModel.open(finished)
    flip_bit(model.folder / name)
    with pytest.raises(RecordDamaged, match=rf"{name} is damaged: its digest"):
        model.load()


def test_without_the_whole_model_the_weights_will_do(finished: Workspace) -> None:
    model = FinishedModel.open(finished)
    (model.folder / "model.keras").unlink()
    model.load()
    (model.folder / "model.weights.h5").unlink()
    with pytest.raises(RecordDamaged, match="missing"):
        model.load()


def test_no_model_yet(tuned: Workspace) -> None:
    with pytest.raises(ModelMissing, match="fine-tuned"):
        FinishedModel.open(tuned)


def test_an_unknown_name(finished: Workspace) -> None:
    with pytest.raises(ModelMissing, match="nothing-here"):
        FinishedModel.open(finished, "nothing-here/at-all")


def test_a_model_is_found_by_name_and_by_folder(finished: Workspace) -> None:
    model = FinishedModel.open(finished)
    name = f"{model.record.study}/{model.folder.name}"
    assert FinishedModel.open(finished, name) == model
    assert FinishedModel.open(finished, str(model.folder)) == model
