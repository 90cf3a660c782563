from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.data.detection import Detection
from cars_bench.detectors.box_store import BoxStore
from cars_bench.errors import RecordDamaged
from cars_bench.workspace import LockHeld, Workspace

SEEN = {"a": (Detection((1.0, 2.0, 3.0, 4.0), "car", 0.5),), "b": ()}


def filled(workspace: Workspace) -> Path:
    store = BoxStore.of(workspace, "onnx:/models/my birds.onnx", "v1")
    with store.writing() as lines:
        store.add(lines, SEEN)
    (path,) = (workspace.root / "cache" / "boxes").glob("*.jsonl")
    return path


def test_what_was_kept_is_read_again(workspace: Workspace) -> None:
    assert filled(workspace).name == "onnx-models-my-birds.onnx.jsonl"
    again = BoxStore.of(workspace, "onnx:/models/my birds.onnx", "v1")
    assert again.known() == SEEN
    assert BoxStore.of(workspace, "onnx:/models/my birds.onnx", "v2").known() == {}


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_a_crash_cut_short_is_dropped(workspace: Workspace, cut: int) -> None:
    path = filled(workspace)
    path.write_bytes(path.read_bytes()[:-cut])
    store = BoxStore(path, "v1")
    assert store.known() == {"a": SEEN["a"]}
    with store.writing() as lines:
        store.add(lines, {"b": SEEN["b"]})
    assert BoxStore(path, "v1").known() == SEEN


@pytest.mark.parametrize(
    ("old", "new"), [(b"1.0", b"9.0"), (b"car", b"bus"), (b'"boxes"', b'"bokes"'), (b"{", b"[")]
)
def test_an_edited_line_is_refused(workspace: Workspace, old: bytes, new: bytes) -> None:
    path = filled(workspace)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(RecordDamaged, match="Line 1") as caught:
        BoxStore(path, "v1")
    assert "delete the file" in caught.value.fix


def test_two_do_not_write_at_once(workspace: Workspace) -> None:
    path = filled(workspace)
    with BoxStore(path, "v1").writing(), pytest.raises(LockHeld):
        BoxStore(path, "v1").writing().__enter__()


def test_what_another_process_wrote_meanwhile_is_known_when_writing_begins(
    workspace: Workspace,
) -> None:
    early = BoxStore.of(workspace, "onnx:/models/my birds.onnx", "v1")
    filled(workspace)
    with early.writing():
        assert early.known() == SEEN
