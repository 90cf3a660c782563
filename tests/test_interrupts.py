"""Ctrl-C: the first press lets what runs end, and one that a library swallowed still counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cars_bench.interrupts import INTERRUPTED, interrupts_remembered, stop_when_asked
from cars_bench.progress import Progress

ROOT = Path(__file__).parents[1]
LOST_IN_EXEC = """
import os, signal, sys
from cars_bench import __main__ as program
from cars_bench.cli import app

def main():
    # Python takes a KeyboardInterrupt that leaves `exec` for one that nobody caught.
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    except KeyboardInterrupt:
        sys.exit(130)

app.main = main
program.main()
"""

# The program with a command of ours; `press` is a Ctrl-C.
PROGRAM = """
import signal, sys
from pathlib import Path
from cars_bench import __main__ as program
from cars_bench import keras_backend
from cars_bench.cli import app, session
from cars_bench.workspace import Workspace

def press():
    signal.raise_signal(signal.SIGINT)

def report(error, json_output, real=session.report_error):
    {told}
    real(error, json_output)

def body():
    {body}
    return {{}}

def main():
    {loading}
    place = session.Session(Workspace(Path(".")), json_output="--json" in sys.argv)
    code = place.run(body)
    {ending}
    sys.exit(code)

session.report_error = report
app.main = main
program.main()
"""
MOMENTS = {
    "while it is loaded": {"loading": "press()"},
    "once": {"body": "press()"},
    "within an import": {"body": "__import__('pressing')"},
    "where an error was made of it": {"body": "__import__('mistaken')"},
    "with stderr taken away": {"body": "keras_backend.import_without_chatter('pressing')"},
    "twice": {"body": """
    try:
        press()
    finally:
        press()"""},
    "again as it is told": {"body": "press()", "told": "press()"},
    "again after it was told": {"body": "press()", "ending": "press()"},
}  # fmt: skip


class Told(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_press_only_asks_and_the_second_interrupts() -> None:
    told = Told()
    before = signal.getsignal(signal.SIGINT)
    with stop_when_asked(told, "Stopping.") as stop:
        assert not stop()
        press()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert told.said == ["Stopping."]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_press_that_was_swallowed_before_counts_as_the_first() -> None:
    told = Told()
    with interrupts_remembered() as remembered:
        with pytest.raises(KeyboardInterrupt):
            press()
        assert remembered.pressed
        with stop_when_asked(told, "Stopping.") as stop:
            assert stop()
            assert told.said == ["Stopping."]
            with pytest.raises(KeyboardInterrupt):
                press()


def test_outside_the_main_thread_nothing_changes() -> None:
    found = []

    def body() -> None:
        with interrupts_remembered() as remembered, stop_when_asked(Told(), "Stopping.") as stop:
            found.append((remembered.pressed, stop()))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [(False, False)]


def test_the_program_exits_with_130_wherever_the_interrupt_fell() -> None:
    done = subprocess.run([sys.executable, "-c", LOST_IN_EXEC], check=False)
    assert done.returncode == 130


@pytest.mark.parametrize("json_output", [False, True])
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_program_says_once_that_it_was_interrupted(tmp_path, moment, json_output) -> None:
    press_it = "import signal; signal.raise_signal(signal.SIGINT)"
    (tmp_path / "pressing.py").write_text(press_it)
    (tmp_path / "mistaken.py").write_text(f"try:\n    {press_it}\nexcept: raise ImportError\n")
    blank = dict.fromkeys(("told", "body", "loading", "ending"), "pass")
    code = PROGRAM.format(**blank | MOMENTS[moment])
    words = [sys.executable, "-c", code, *(["--json"] if json_output else [])]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 130
    if json_output:
        assert json.loads(done.stdout)["error"]["code"] == 130
        assert done.stderr == ""
    else:
        assert done.stdout == ""
        assert done.stderr == f"error: {INTERRUPTED.message}\n  fix: {INTERRUPTED.fix}\n"


def test_a_press_after_a_command_has_ended_does_not_undo_what_it_said() -> None:
    blank = dict.fromkeys(("told", "body", "loading"), "pass")
    words = [sys.executable, "-c", PROGRAM.format(**blank, ending="press()"), "--json"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)
    assert json.loads(done.stdout) == {"schema_version": 1}
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.slow
def test_wherever_in_its_beginning_ctrl_c_falls_once_or_twice_there_is_a_word(tmp_path) -> None:
    for words in (["trials"], ["tune"], ["predict", "x.jpg"]):
        for delay in (0.2, 0.3, 0.5, 1.0, 2.0):
            for again in (None, 0.0, 0.3):
                code, said = _interrupted([*words, "--workspace", str(tmp_path)], delay, again)
                assert "Traceback" not in said
                assert "Interrupted" in said or code == 3, (words, delay, again, said)


def _interrupted(words: list[str], delay: float, again: float | None) -> tuple[int, str]:
    """Exit code and words of a command that Ctrl-C is pressed in after so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cars_bench", *words], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    for pause in (delay, again):
        if pause is not None:
            time.sleep(pause)
            process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    return process.returncode, said
