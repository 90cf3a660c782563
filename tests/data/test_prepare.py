"""Prepare as a whole: what ends up in the dataset, and what stops it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.data.card import MissingImages, card_lines
from cars_bench.data.dataset import Dataset
from cars_bench.data.images import decode_image
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.documents import to_json
from cars_bench.errors import DatasetMissing, DetectorFailed, InputError, UsageError
from cars_bench.progress import PlainProgress, Progress
from tests.detectors.seeing import ColourDetector, draw, finder


@pytest.fixture
def source(tiny_source, tmp_path):
    """A copy of the tiny source that a test may damage."""
    return shutil.copytree(tiny_source, tmp_path / "source")


@pytest.fixture
def run(workspace):
    def run(source, **options) -> Dataset:
        return prepare(workspace, PrepareOptions(source=source, **options), Progress())

    return run


def edit(source, old, new):
    path = source / "labels.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_card_counts_what_the_table_holds(tiny_dataset):
    card = tiny_dataset.card
    assert (card.images, card.classes, card.boxes) == (60, 4, 60)
    assert card.split.counts == {"train": 36, "val": 12, "test": 12}
    assert card.sizes.width.median == 48
    assert card.quarantined == ()


def test_labels_stay_with_their_images(tiny_dataset):
    classes = ("bar", "cross", "disc", "square")
    for row in tiny_dataset.table.itertuples():
        assert row.class_name == classes[int(row.image_id[:3]) % 4]
        assert tiny_dataset.class_names[row.label] == row.class_name


def test_the_choice_is_remembered(workspace, tiny_source, run):
    run(tiny_source, name="mine", crop="boxes")
    assert workspace.settings()["dataset"] == {"name": "mine", "crop": "boxes"}
    assert Dataset.load(workspace).crop == "boxes"


def test_a_file_that_knows_train_and_test_gives_a_tenth_of_train(source, run):
    edit(source, ",val,", ",train,")
    counts = run(source).card.split.counts
    assert counts == {"train": 44, "val": 4, "test": 12}


def test_the_users_validation_is_kept_where_there_is_no_test(source, run):
    edit(source, ",test,", ",train,")
    found = run(source)
    assert found.card.split.counts == {"train": 40, "val": 12, "test": 8}
    assert found.card.split.how == "the source's own; 15% of train, stratified, seed 0, as test"
    assert found.card.warnings == ()
    labels = (source / "labels.csv").read_text().splitlines()[1:]
    kept = {line.split(",")[0] for line in labels if ",val," in line}
    assert set(found.split("val")["image_id"]) == kept
    assert run(source, split="column").digest == found.digest


def test_a_split_can_be_asked_for_and_follows_the_seed(source, run):
    first, again, other = (run(source, split="50/25/25", seed=seed) for seed in (0, 0, 1))
    assert first.card.split.counts == {"train": 30, "val": 15, "test": 15}
    assert first.digest == again.digest != other.digest


def test_column_needs_a_split_in_the_file(source, run):
    for word in ("train", "val", "test"):
        edit(source, f",{word},", ",,")
    assert run(source).card.split.how.startswith("65/20/15")
    with pytest.raises(InputError, match="does not say"):
        run(source, split="column")


def test_missing_images_stop_it_unless_allowed(source, run):
    for name in ("003.png", "007.png"):
        (source / "images" / name).unlink()
    with pytest.raises(InputError, match=r"2 of 60 labelled images are missing .*003.png, 007.png"):
        run(source)
    dataset = run(source, allow_missing=True)
    assert dataset.card.missing == MissingImages(2, ("003.png", "007.png"))
    assert len(dataset.table) == 58


def test_unreadable_images_are_quarantined_with_the_reason(source, run):
    (source / "images" / "001.png").write_bytes(b"")
    path = source / "images" / "002.png"
    path.write_bytes(path.read_bytes()[:500])
    dataset = run(source)
    assert [item.image_id for item in dataset.card.quarantined] == ["001.png", "002.png"]
    assert dataset.card.quarantined[0].reason == "the file is empty"
    assert not {"001.png", "002.png"} & set(dataset.table["image_id"])


def test_a_damaged_image_leaves_the_split_of_the_others(source, run):
    before = run(source, split="65/20/15").table.set_index("image_id")["split"]
    (source / "images" / "002.png").write_bytes(b"x")
    after = run(source, split="65/20/15").table.set_index("image_id")["split"]
    assert after.equals(before.drop("002.png"))


def test_web_pages_count_as_missing(source, run):
    (source / "images" / "001.png").write_bytes(b"<!doctype html><p>404")
    with pytest.raises(InputError, match=r"1 of 60 images are HTML pages, not images: 001.png"):
        run(source)
    assert len(run(source, allow_missing=True).card.quarantined) == 1


@pytest.mark.parametrize("crop", ["none", "boxes"])
def test_a_box_outside_its_image_stops_it(source, run, crop):
    first = (source / "labels.csv").read_text().splitlines()[1]
    name, *_, target, split, class_name = first.split(",")
    edit(source, first, f"{name},500,500,600,600,{target},{split},{class_name}")
    with pytest.raises(InputError, match=r"1 of 60 images have a box outside the image: 000.png"):
        run(source, crop=crop)
    if crop == "none":
        dataset = run(source, allow_missing=True)
        assert dataset.card.boxes == 59
        assert "left out" in dataset.card.warnings[0]


def test_a_box_a_pixel_too_far_is_clipped(source, run):
    first = (source / "labels.csv").read_text().splitlines()[1]
    name, *_, target, split, class_name = first.split(",")
    edit(source, first, f"{name},0,-1,49,48,{target},{split},{class_name}")
    row = run(source).table.iloc[0]
    assert [row.x1, row.y1, row.x2, row.y2] == [0, 0, 48, 48]


def test_crop_needs_boxes(source, run):
    (source / "labels.csv").write_text("img_file,class\n000.png,a\n001.png,b\n")
    with pytest.raises(InputError, match="2 of 2 have none"):
        run(source, crop="boxes")


def test_same_bytes_in_two_splits_are_reported(source, run):
    shutil.copy(source / "images" / "000.png", source / "images" / "016.png")  # train, test
    assert "byte for byte" in run(source).card.warnings[0]


def test_class_folders_are_numbered_by_sorted_name(source, run, tmp_path):
    for name in ("1", "2", "10"):
        shutil.copytree(source / "images", tmp_path / "folders" / name)
    dataset = run(tmp_path / "folders")
    assert dataset.class_names == ["1", "10", "2"]
    assert set(dataset.table.loc[dataset.table["label"] == 1, "class_name"]) == {"10"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [("000.png,a\n001.png,a\n", "of one class"), ("000.png,a\n001.png,b\n", "would have no image")],
)
def test_too_little_to_learn_from_is_said(source, run, rows, message):
    (source / "labels.csv").write_text(f"img_file,class\n{rows}")
    with pytest.raises(InputError, match=message):
        run(source)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": "cars"},
        {"split": "1/2"},
        {"name": "../out"},
        {"name": ""},
        {"demo": True},
        {"source": None},
    ],
)
def test_options_that_do_not_go_together(workspace, tiny_source, options):
    with pytest.raises(UsageError):
        prepare(workspace, PrepareOptions(**({"source": tiny_source} | options)), Progress())


def test_a_failure_keeps_the_dataset_that_was_there(workspace, source, run):
    digest = run(source).digest
    (source / "images" / "003.png").unlink()
    with pytest.raises(InputError):
        run(source)
    assert Dataset.load(workspace).digest == digest


@pytest.mark.parametrize("function", ["write_card", "digest_of"])
def test_killed_while_writing_leaves_no_half_dataset(workspace, source, run, monkeypatch, function):
    run(source)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"cars_bench.data.dataset.{function}", killed)
        with pytest.raises(KeyboardInterrupt):
            run(source, seed=5, split="50/25/25")
    with pytest.raises(DatasetMissing):
        Dataset.load(workspace)
    assert run(source, seed=5, split="50/25/25").card.split.seed == 5


def test_nothing_can_be_written(workspace, tiny_source, run):
    workspace.root.write_text("a file where the workspace should be")
    with pytest.raises(InputError, match="Cannot write to"):
        run(tiny_source)


@pytest.mark.realdata
def test_the_real_cars(real_cars, run):
    dataset = run(real_cars)
    counts = dataset.card.split.counts
    assert len(dataset.class_names) == 196
    assert (counts["train"] + counts["val"], counts["test"]) == (5288, 1221)
    assert counts["val"] == pytest.approx(529, abs=3)
    assert decode_image(dataset.records("test")[0].path).mode == "RGB"
    assert json.dumps(to_json(dataset.card), allow_nan=False)


def test_groups_of_a_column_stand_in_the_card_and_leave_the_digest(source, run):
    labels = (source / "labels.csv").read_text().splitlines()
    drawn = {"bar": "straight", "cross": "straight", "square": "straight", "disc": "round"}
    rows = [f"{line},{drawn[line.rpartition(',')[2]]}" for line in labels[1:]]
    (source / "labels.csv").write_text("\n".join([f"{labels[0]},outline", *rows]) + "\n")
    grouped = run(source, group_columns=("outline",))
    assert grouped.card.groups == {"outline": drawn}
    assert grouped.digest == run(source).digest


@pytest.mark.skipif(os.name == "nt", reason="Windows has fewer legal names")
def test_files_of_any_legal_name_are_prepared(tiny_source, run, tmp_path):
    names = [
        "a\rb",
        " a",
        "=1+1",
        "a\\b",
        "a\nb",
        '"',
        "a,b",
        "\x1b[2J",
        "'-",
        "日産",
        "a\u202eb",
        "-",
    ]
    pictures = sorted(tiny_source.rglob("*.png"))
    for number, name in enumerate(names):
        for class_name, offset in (("A", 0), (" B", 12)):
            folder = tmp_path / "cars" / class_name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(pictures[number + offset], folder / f"{name}.png")
    table = run(tmp_path / "cars").table
    assert sorted(table["image_id"]) == sorted(
        f"{c}/{name}.png" for c in ("A", " B") for name in names
    )
    assert all(Path(path).is_file() for path in table["path"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(60)
def test_a_named_pipe_is_quarantined_and_not_waited_for(source, run):
    (picture,) = source.rglob("007.png")
    picture.unlink()
    os.mkfifo(picture)
    assert [item.reason for item in run(source).card.quarantined] == [
        "it cannot be read: it is no plain file"
    ]


def test_columns_need_a_label_file(run, tmp_path):
    for name in ("A", "B"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").write_bytes(b"x")
    for options in ({"columns": "a,b"}, {"group_columns": ("make",)}):
        with pytest.raises(UsageError, match="name columns of a CSV"):
            run(tmp_path / "photos", **options)


def test_a_detectors_boxes_take_the_place_of_the_sources(workspace, tmp_path):
    for number in range(20):
        for name, box in {"a": (8, 4, 40, 44), "b": (20, 10, 60, 40)}.items():
            drawn = {} if number == 0 else {"red": box, "green": (0, 0, 12, 4)}
            draw(tmp_path / "photos" / name / f"{number}.png", **drawn)
    options = PrepareOptions(source=tmp_path / "photos", name="found")
    dataset = prepare(workspace, options, Progress(), finder(workspace))
    assert dataset.crop == "detector"
    assert workspace.settings()["dataset"] == {"name": "found", "crop": "detector"}
    boxes = {record.image_id: record.box for record in dataset.records("train")}
    assert set(boxes.values()) <= {(8, 4, 40, 44), (20, 10, 60, 40), None}
    told = dataset.card.detection
    assert (told.found, told.not_found, told.classes) == (38, 2, {"red": 38})
    assert Dataset.load(workspace, "found").card == dataset.card
    assert dataset.digest != prepare(workspace, options, Progress()).digest


def test_a_detectors_boxes_of_whole_pictures_cut_nothing(workspace, tmp_path):
    for number in range(10):
        for name in ("a", "b"):
            drawn = {} if number == 0 else {"red": (8, 4, 40, 44)}
            draw(tmp_path / "photos" / name / f"{number}.png", **drawn)
    options = PrepareOptions(source=tmp_path / "photos", name="whole", whole=True)
    dataset = prepare(workspace, options, Progress(), finder(workspace))
    assert (dataset.crop, dataset.is_cropped) == ("none", False)
    assert {record.box for record in dataset.records("train")} == {None}
    assert {item.box for item in dataset.images.values()} == {(8, 4, 40, 44), None}
    assert dataset.card.boxes == 18
    lines = card_lines("whole", dataset.card)
    assert any("2 without" in line for line in lines)
    assert not any("taken whole" in line for line in lines)


def test_a_detectors_boxes_are_held_against_the_sources(workspace, tiny_source):
    dataset = prepare(
        workspace, PrepareOptions(source=tiny_source, name="tiny"), Progress(), finder(workspace)
    )
    told = dataset.card.detection
    assert (told.found, told.compared, told.mean_iou) == (0, 60, 0)
    assert all(record.box is None for record in dataset.records("test"))


def test_most_images_without_a_box_are_warned_of(workspace, tiny_source):
    options = PrepareOptions(source=tiny_source, name="tiny")
    dataset = prepare(workspace, options, Progress(), finder(workspace))
    assert "nothing to cut to in 60 of 60 images" in " ".join(dataset.card.warnings)


def test_a_dataset_of_other_content_is_not_replaced_without_a_word(workspace, tiny_source, capsys):
    options = PrepareOptions(source=tiny_source, name="tiny")
    for changed, said in (
        (options, False),
        (options, False),
        (replace(options, split="60/20/20"), True),
    ):
        prepare(workspace, changed, PlainProgress())
        told = "replaces the dataset 'tiny' (60 images, crop none)" in capsys.readouterr().err
        assert told is said


def test_nothing_is_written_where_the_detector_dies(workspace, tiny_source):
    with pytest.raises(DetectorFailed):
        prepare(
            workspace,
            PrepareOptions(source=tiny_source, name="tiny"),
            Progress(),
            finder(workspace, ColourDetector(dies_after=3)),
        )
    with pytest.raises(DatasetMissing):
        Dataset.load(workspace, "tiny")
