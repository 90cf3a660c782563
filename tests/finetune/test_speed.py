from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from cars_bench.finetune import speed
from cars_bench.finetune.speed import BatchSpeed, Speed, machine, measure_speed


def test_seconds_are_of_one_image_and_the_first_call_does_not_count(monkeypatch):
    monkeypatch.setattr(speed, "BATCHES", (1, 4))
    seen = []

    def answer(images):
        first = images.shape not in seen
        seen.append(images.shape)
        time.sleep(0.2 if first else 0.005 + 0.005 * len(images))

    found = measure_speed(answer, 8)
    assert [item.batch for item in found.batches] == [1, 4]
    assert found.batches[0].seconds == pytest.approx(0.010, rel=0.6)
    assert found.batches[1].seconds == pytest.approx(0.025 / 4, rel=0.6)
    assert set(seen) == {(1, 8, 8, 3), (4, 8, 8, 3)}


def test_a_slow_model_is_not_asked_for_long(monkeypatch):
    monkeypatch.setattr(speed, "MOST_SECONDS", 0.0)
    calls = []
    measure_speed(calls.append, 4)
    assert len(calls) == 4  # one that compiles and one that counts, of each size


def test_pixels_are_those_of_a_picture():
    kept: list[np.ndarray] = []
    measure_speed(kept.append, 4)
    assert kept[0].dtype == np.float32
    assert 0 <= kept[0].min() < kept[0].max() <= 255


def test_the_machine_is_named(monkeypatch, tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nmodel name\t: A Processor 9000\n")
    monkeypatch.setattr(speed, "CPUINFO", told)
    monkeypatch.setattr(speed.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert machine() == "A Processor 9000, 1 core"
    assert machine(2) == "A Processor 9000, 1 core, 2 accelerators"
    monkeypatch.setattr(speed, "CPUINFO", Path("/nowhere"))
    monkeypatch.setattr(speed.platform, "processor", lambda: "")
    assert machine().startswith(speed.platform.machine())


def test_a_speed_is_said_in_a_sentence():
    found = Speed("A Processor, 2 cores", (BatchSpeed(1, 0.04312), BatchSpeed(32, 0.0121)))
    assert found.text == (
        "43.1 ms an image alone, 12.1 ms an image in a batch of 32, decoding not included "
        "(A Processor, 2 cores)"
    )
