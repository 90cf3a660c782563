from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cars_bench.finetune.model_card import write_card
from cars_bench.finetune.plan import Steering
from cars_bench.finetune.runs import Run
from tests.detectors.seeing import crop


def test_the_card_says_data_training_results_and_limits(
    finished_once: tuple[Path, Run],
) -> None:
    result = finished_once[1]
    card = (result.folder / "model-card.md").read_text()
    for words in ("## Data", "## Training", "## Results", "## Limits", "'tiny'"):
        assert words in card
    record = result.record
    assert record.cache_key in card
    assert f"{record.finetuned['test'].top1.value:.1%}" in card
    assert "36 train, 12 val, 12 test (the source's own)" in card
    assert "mixup off, cutmix off, averaging of weights off" in card
    assert "The test images were read once" in card
    assert "EXIF" in card
    assert "On 12 validation images the SavedModel" in card
    fitted = record.temperature
    assert f"by a temperature of {fitted.value:.3g}, fitted on 12 validation images" in card
    before, after = (
        found["test"].expected_calibration_error for found in (fitted.before, fitted.after)
    )
    assert f"| test | {before:.4f} | {after:.4f} |" in card


def test_the_card_claims_no_more_than_was_done(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    record = finished_once[1].record
    validated = {"val": record.finetuned["val"]}
    uncut = replace(
        record,
        epochs=0,
        saved_model_check=None,
        finetuned=validated,
        dataset=replace(record.dataset, crop="boxes"),
    )
    write_card(Run(tmp_path, uncut))
    card = (tmp_path / "model-card.md").read_text()
    assert "The test images were not read." in card
    assert "Images were cut to their boxes" in card
    for claim in ("epochs of", "The epoch", "EXIF"):
        assert claim not in card


def test_the_card_tells_what_was_changed_by_hand_and_what_a_refit_saw(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    record = finished_once[1].record
    change = Steering(from_epoch=2, learning_rate=1e-5, schedule="constant", epochs=4)
    write_card(Run(tmp_path, replace(record, steering=(change,), refit=True)))
    card = (tmp_path / "model-card.md").read_text()
    assert "- Steered by hand from epoch 2: {'from_epoch': 2, 'learning_rate': 1e-05" in card
    assert "Validation images count as training images" in card


def test_its_numbers_are_those_of_the_record(
    finished_once: tuple[Path, Run],
) -> None:
    run = finished_once[1]
    rows = (run.folder / "model-card.md").read_text().split("|---|---|---|---|---|\n")[1]
    top1 = [row.split("|")[4].split()[0] for row in rows.splitlines() if row.startswith("| f")]
    scores = [*run.record.frozen.values(), *run.record.finetuned.values()]
    assert top1 == [f"{score.top1.value:.1%}" for score in scores]


def test_the_card_names_the_detector_that_cut_the_images(
    finished_once: tuple[Path, Run], tmp_path: Path
) -> None:
    record = finished_once[1].record
    found = crop(classes=("red", "green"), margin=0.05)
    dataset = replace(record.dataset, crop="detector", detection=found)
    write_card(Run(tmp_path, replace(record, dataset=dataset)))
    card = (tmp_path / "model-card.md").read_text()
    assert "largest box (red, green, score 0.3 or more, margin 5%)" in card
    assert "detector colours:v1 (digest dddddddddddddddd)" in card
