"""TensorBoard: what its own reader finds, however often and wherever a sync was cut short."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from cars_bench.errors import InputError
from cars_bench.progress import Progress
from cars_bench.tracking.follow import sync_study, tracked
from cars_bench.tracking.rows import tracked_runs
from cars_bench.tracking.tensorboard import EVENTS_FILE, TensorBoardTracker
from cars_bench.tuning.study import Study
from tests.tracking.studies import NAME, Rows, Tracked, expected


def read_back(folder: Path) -> Rows:
    """The rows of every run, as TensorBoard reads them."""
    found = {}
    for path in sorted(folder.rglob(EVENTS_FILE)):
        reader = EventAccumulator(str(path.parent), size_guidance={"scalars": 0})
        reader.Reload()
        points = [
            (tag, item.step, item.value)
            for tag in reader.Tags()["scalars"]
            for item in reader.Scalars(tag)
        ]
        content = reader.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        parameters = metadata.parse_session_start_info_plugin_data(content).hparams
        key = path.parent.relative_to(folder).as_posix().partition("/")[2]
        found[key] = (sorted(parameters), sorted(points))
    return found


def holds_all(folder: Path, of: Tracked) -> bool:
    wanted = expected(list(tracked_runs(of.workspace, of.study)))
    return read_back(folder) == {key: row[1:] for key, row in wanted.items()}


@pytest.fixture
def growing(tmp_path) -> Tracked:
    return Tracked.in_folder(tmp_path / "workspace")


def test_its_own_reader_finds_every_row_once_after_any_number_of_syncs(growing, tmp_path):
    tracker = TensorBoardTracker(tmp_path / "board")
    growing.grow(0, 3)
    for _ in range(3):
        sync_study(tracker, growing.workspace, NAME)
    growing.grow(3, 2)
    sync_study(TensorBoardTracker(tmp_path / "board"), growing.workspace, NAME)
    assert holds_all(tmp_path / "board", growing)


def test_a_study_that_was_finished_before_is_there_once_however_often_followed(finished, tmp_path):
    study = Study.open(finished)
    for _ in range(2):
        with tracked(f"tensorboard:{tmp_path / 'board'}", finished, Progress()) as follow:
            follow(study.name)
    assert holds_all(tmp_path / "board", Tracked(finished, study))
    assert any(key.startswith("final/") for key in read_back(tmp_path / "board"))


@settings(max_examples=15, deadline=None)
@given(
    grown=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=5),
    cut=st.floats(0, 1),
)
def test_any_interleaving_of_syncs_and_growth_gives_the_same_rows(tmp_path_factory, grown, cut):
    root = tmp_path_factory.mktemp("any")
    growing = Tracked.in_folder(root / "workspace")
    tracker = TensorBoardTracker(root / "board")
    total = 0
    for trials, synced in grown:
        growing.grow(total, trials, epochs=2)
        total += trials
        if synced:
            sync_study(tracker, growing.workspace, NAME)
            # A writer that was killed: the file ends anywhere.
            path = sorted((root / "board").rglob(EVENTS_FILE))[total % 2]
            data = path.read_bytes()
            path.write_bytes(data[: math.ceil(cut * len(data))])
    sync_study(tracker, growing.workspace, NAME)
    assert holds_all(root / "board", growing)


def test_a_changed_file_is_copied_again(growing, tmp_path):
    report = growing.workspace.reports / NAME / "report.html"
    report.parent.mkdir(parents=True)
    tracker = TensorBoardTracker(tmp_path / "board")
    for text in ("first", "second"):
        report.write_text(text)
        sync_study(tracker, growing.workspace, NAME)
        (copy,) = (tmp_path / "board").rglob("report.html")
        assert copy.read_text() == text


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "board").write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        TensorBoardTracker(tmp_path / "board")
