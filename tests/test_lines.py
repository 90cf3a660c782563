from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.errors import RecordDamaged
from cars_bench.lines import Lines, read_lines

EVENTS = [{"event": "a", "value": 1.5}, {"event": "b", "text": 'q"}\n'}, {"event": "c"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "sub" / "events.jsonl"
    with Lines(found) as lines:
        lines.append(EVENTS[0])
        lines.append(*EVENTS[1:])
    return found


def read(path: Path) -> list[dict]:
    return [
        {key: value for key, value in event.items() if key != "digest"}
        for _, event in read_lines(path, "mend it")
    ]


def test_what_was_appended_is_read_in_order(path: Path) -> None:
    assert read(path) == EVENTS
    assert [number for number, _ in read_lines(path, "")] == [1, 2, 3]


def test_there_are_no_lines_without_a_file(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jsonl") == []


def test_a_torn_last_line_is_dropped_and_the_next_stands_alone(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        before = read(path)
        with Lines(path) as lines:
            lines.append({"event": "next"})
        assert read(path) == [*before, {"event": "next"}]


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed_or_tears_the_last_line(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "events.jsonl"
    with Lines(path) as lines:
        lines.append(*EVENTS)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        assert read(path) == EVENTS[:2]
    except RecordDamaged:
        return
    assert not data.endswith(b"\n")


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[0], *lines[1:]],
        lambda lines: [*lines[:2], b'{"event": "c"}'],
        lambda lines: [b"[1]", *lines],
        lambda lines: [b'{"a": NaN}', *lines],
    ],
    ids=["moved", "dropped", "doubled", "without its digest", "no object", "no number"],
)
def test_edited_lines_are_refused(path: Path, edit) -> None:
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(edit(lines)) + b"\n")
    with pytest.raises(RecordDamaged, match="Line") as caught:
        read(path)
    assert caught.value.fix == "mend it"


def test_lines_of_before_there_were_digests_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(EVENTS[0]) + "\n")
    with Lines(path) as lines:
        lines.append(EVENTS[1])
    assert read(path) == EVENTS[:2]


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordDamaged, match="no plain file"):
        read(tmp_path)


def test_short_writes_are_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    with Lines(path) as lines:
        lines.append({"event": "short"})
    assert read(path) == [*EVENTS, {"event": "short"}]


def test_after_a_failed_write_the_next_line_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Lines(path) as lines:

        def full(descriptor: int, data: memoryview) -> int:
            write(descriptor, bytes(data)[:5])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="space"):
            lines.append({"event": "lost"})
        monkeypatch.setattr(os, "write", write)
        lines.append({"event": "kept"})
    assert read(path) == [*EVENTS, {"event": "kept"}]
