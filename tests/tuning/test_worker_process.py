"""Workers as processes: Ctrl-C never reaches them, and they never outlive their search."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cars_bench.tuning.study import Study
from tests.tuning.searches import TRIALS, alive, children, command, ended, wait_for

# A line that the search prints, and the seconds after it at which Ctrl-C is pressed.
MOMENTS = [
    *(("Loading Keras", delay) for delay in (0.0, 0.3, 0.8)),
    *(("Tuning", delay) for delay in (0.0, 0.2, 0.5, 1.0, 2.0)),
]
PROMPT_SECONDS = 5.0
GONE_SECONDS = 2.0


@pytest.mark.slow
def test_one_ctrl_c_at_any_moment_stops_in_order_and_the_same_command_goes_on(cached, space):
    for line, delay in MOMENTS:
        process = command(cached, space, "--workers", "2", trials=100)
        said = _until(process, line)
        time.sleep(delay)
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        more = process.stderr.read()
        process.wait()
        assert process.returncode == 130, (line, delay, said + more)
        assert "died" not in more
        assert not any(alive(pid) for pid in workers)
    begun = len(Study.open(cached).trials()) if list(cached.studies.glob("*/study.json")) else 0
    assert begun < 100
    code, document = ended(command(cached, space, trials=max(TRIALS, begun)))
    assert (code, document["run"]) == (0, max(TRIALS, begun))
    assert {trial.status for trial in Study.open(cached).trials()} == {"completed"}


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.5, 2.0, 5.0])
def test_no_worker_outlives_a_search_that_is_killed_while_they_start_or_train(cached, space, delay):
    process = command(cached, space, "--workers", "2", trials=100)
    workers = wait_for(lambda: _two(children(process.pid)), process)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _require_gone(workers)


@pytest.mark.slow
def test_a_second_ctrl_c_stops_now_and_takes_the_workers_with_it(cached, space):
    process = command(cached, space, "--workers", "2", trials=100)
    workers = wait_for(lambda: _two(children(process.pid)), process)
    os.killpg(process.pid, signal.SIGINT)
    _until(process, "Stopping")
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert time.monotonic() - begun < PROMPT_SECONDS
    _require_gone(workers)


def _two(pids: list[int]) -> list[int]:
    return pids if len(pids) > 1 else []


def _require_gone(pids: list[int]) -> None:
    """One that was only just begun ends with its input, as soon as it listens."""
    deadline = time.monotonic() + GONE_SECONDS
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _until(process, beginning: str) -> str:
    """Read what it says up to a line that begins so."""
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(beginning):
            return said
    raise AssertionError(f"it never said {beginning!r}: {said}")
