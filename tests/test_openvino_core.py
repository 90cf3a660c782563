from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cars_bench.openvino_core import Requests, core

PRESSED = """
import gc, signal
import numpy as np
import openvino
from openvino import opset13
from cars_bench.openvino_core import core

def network():
    pixels = opset13.parameter([1, 3, 8, 8], np.float32)
    return core().compile_model(openvino.Model([opset13.relu(pixels)], [pixels]), "CPU")

kept = [network() for _ in range(3)]
while kept:
    kept.pop(0)
    gc.collect()
signal.signal(signal.SIGINT, lambda number, frame: print("pressed"))
signal.raise_signal(signal.SIGINT)
"""


def test_there_is_one_core() -> None:
    pytest.importorskip("openvino")
    assert core() is core()


def test_ctrl_c_is_heard_after_networks_have_come_and_gone() -> None:
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", PRESSED], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "pressed\n"), done.stderr


def test_requests_that_nobody_waited_for_are_used_again() -> None:
    openvino = pytest.importorskip("openvino")
    opset = pytest.importorskip("openvino.opset13")
    pixels = opset.parameter([1, 4], np.float32)
    requests = Requests(openvino.Model([opset.relu(pixels), opset.negative(pixels)], [pixels]),
                        "f32", (1, 0))  # fmt: skip
    for _ in range(2 * requests.most):
        requests.start(np.zeros((1, 4), np.float32))
    waits = [requests.start(np.full((1, 4), number, np.float32)) for number in range(requests.most)]
    for number, wait in enumerate(waits):
        negative, positive = wait()
        assert (negative == -number).all()
        assert (positive == number).all()
