"""Ctrl-C: the first press lets what runs end, and one that a library swallowed still counts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from cars_bench.interrupts import interrupts_remembered, stop_when_asked
from cars_bench.progress import Progress

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
