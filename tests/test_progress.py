"""What a person is told while work goes on."""

import io
import sys
import time
from types import SimpleNamespace

import pytest

from cars_bench.progress import (
    PlainProgress,
    Progress,
    Task,
    TerminalProgress,
    duration,
    folded,
    for_stream,
    plural,
    printable,
    size,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7805, "2 h 10 min"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_plain_progress_writes_the_title_and_one_line_an_item() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).stage("Extracting", 1200, "images") as task:
        task.line("shard 1")
        task.advance(1200)
        task.line("shard 2")
    lines = stream.getvalue().splitlines()
    assert lines == ["Extracting (1,200 images)", "  shard 1", "  shard 2, 0 s left"]


def test_a_stage_of_unknown_length_promises_no_end() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).stage("Reading", None) as task:
        task.advance(3)
        task.line("three")
    assert stream.getvalue() == "Reading\n  three\n"


def test_time_left_is_unknown_before_the_first_item() -> None:
    assert Task(10).seconds_left is None
    assert Task(None).seconds_left is None


def test_time_left_goes_by_the_pace_of_this_session(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    task = Task(30)
    task.advance(8, earlier=True)
    assert task.seconds_left is None
    now[0] += 90
    task.advance()
    assert task.seconds_left == 21 * 90
    now[0] += 60
    assert task.seconds_left == 21 * 90 - 60
    now[0] += 90 * 30
    assert task.seconds_left == 0


def test_items_that_take_longer_count_as_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    task = Task(4)
    task.weigh([0.5, 0.5, 1.0, 1.0])
    task.advance(earlier=True)
    now[0] += 30
    task.advance()
    assert task.seconds_left == 120


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.01, "100.0 epochs/s, 0 s left"), (90, "0.7 epochs/min, 31 min 30 s left")],
)
def test_a_bar_tells_rate_and_time_left_however_slow_the_items_are(
    seconds: float,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with TerminalProgress().stage("Fine-tuning", 30, "epochs") as task:
        task.advance(8, earlier=True)
        now[0] += seconds
        task.advance()
    assert f"9/30 {said}" in capfd.readouterr().err


def test_what_goes_on_is_said_once_and_only_before_the_first_item_ends() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).stage("Tuning", 10, "trials") as task:
        task.advance(3, earlier=True)
        for text in ("loading Keras", "loading Keras", "compiling"):
            task.doing(text)
        task.advance()
        task.doing("loading Keras")
    assert stream.getvalue() == "Tuning (10 trials)\n  loading Keras\n  compiling\n"


def test_a_bar_shows_what_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress().stage("Tuning", 10, "trials") as task:
        task.doing("compiling")
    assert "0/10  compiling" in capfd.readouterr().err


def test_quiet_progress_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = for_stream(quiet=True)
    progress.log("a sentence")
    with progress.stage("Working", 2) as task:
        task.advance()
        task.line("one")
    assert type(progress) is Progress
    assert capfd.readouterr() == ("", "")


def test_off_a_terminal_progress_is_plain() -> None:
    assert isinstance(for_stream(quiet=False), PlainProgress)


def test_long_lines_are_folded_between_words_only():
    path = "/a/path/that-is/longer than/the-line-is-wide-by-far"
    assert folded(f"  written: {path} here\nshort", 24) == (
        "  written:\n    /a/path/that-is/longer\n    than/the-line-is-wide-by-far\n    here\nshort"
    )
    assert folded("a  table  with  columns", 80) == "a  table  with  columns"
    assert folded("", 10) == ""


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (1, "trial", "1 trial"),
        (2000, "trial", "2,000 trials"),
        (1000, "image", "1,000 images"),
    ],
)
def test_a_number_and_its_noun(number, noun, said):
    assert plural(number, noun) == said


def test_the_title_counts_one_image_as_one(capsys):
    with PlainProgress(sys.stdout).stage("Predicting", 1, "images"):
        pass
    assert capsys.readouterr().out == "Predicting (1 image)\n"


@pytest.mark.parametrize(
    ("count", "text"), [(812, "812 B"), (3_400_000, "3.4 MB"), (7e12, "7000.0 GB")]
)
def test_sizes_read_as_people_say_them(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\nÜñ 日産", "a\tb\nÜñ 日産"),
        ("\x1b[2J\x1b]0;x\x07", r"\x1b[2J\x1b]0;x\x07"),
        ("a\rb\x9b1m\x7f", r"a\rb\x9b1m\x7f"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("a\udcff.jpg", r"a\udcff.jpg"),
    ],
)
def test_nothing_that_is_said_moves_the_terminal(text: str, said: str) -> None:
    stream = io.StringIO()
    PlainProgress(stream).log(text)
    assert stream.getvalue() == f"{printable(text)}\n" == f"{said}\n"


@pytest.mark.parametrize(
    ("shell", "widgets", "live"),
    [("ZMQInteractiveShell", 1, True), ("ZMQInteractiveShell", None, False),
     ("TerminalInteractiveShell", 1, False), ("NoneType", 1, False)],
)  # fmt: skip
def test_a_notebook_has_a_bar_where_it_can_redraw_one(monkeypatch, shell, widgets, live):
    instance = type(shell, (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: instance))
    monkeypatch.setattr("cars_bench.progress.find_spec", lambda name: widgets)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(for_stream(False), TerminalProgress if live else PlainProgress)
