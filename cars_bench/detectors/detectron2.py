"""detectron2's networks (Wu et al. 2019), run by whatever interpreter has detectron2.

Today's detectron2 may need another numpy, or another Python, than this program.  So it runs in a
process of its own (`detectron2_worker.py`), which is sent pixels and answers with boxes.
Pictures are decoded and brought to the network's size here, as detectron2 itself does it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from cars_bench.checksums import checksum
from cars_bench.data.detection import LEAST_SCORE, Detection
from cars_bench.data.images import decode_near
from cars_bench.detectors import detectron2_worker, ssd
from cars_bench.detectors.detector import Detector, Prepared
from cars_bench.documents import from_json
from cars_bench.errors import (
    CarsBenchError,
    DetectorFailed,
    DetectorMissing,
    InputError,
    UsageError,
    WeightsUnavailable,
)
from cars_bench.interrupts import OWN_GROUP, interrupts_held_back
from cars_bench.workspace import sha256_file

PREFIX = "detectron2:"
PROTOCOL = 1
"""Counted up whenever the worker answers otherwise than before."""
AHEAD = 2
"""Pictures at the worker: one that it looks at, one that lies ready."""
DEATH_SECONDS = 5.0
"""For the exit code of a worker that says nothing more."""
SHOWN = 300
"""Characters of a worker's last words."""
OFFLINE = f"or use the offline detector: --crop detector:{ssd.NAME}"
INSTALL = f"install it as the README says and give --detector-python PATH, {OFFLINE}"
GO_ON = "the same command goes on where it ended"


@dataclass(frozen=True, kw_only=True)
class About:
    """What a worker says of its network.

    Attributes:
        class_names: What it can name.
        shortest: Pixels that a picture's shorter side is brought to,
        longest: as long as the longer one has no more than these.
        config_sha256: Digest of the whole configuration.
        weights: Where they come from.
        versions: Of detectron2 and torch.
    """

    class_names: tuple[str, ...]
    shortest: int
    longest: int
    config_sha256: str
    weights: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """Why a worker cannot do it; `kind` as `detectron2_worker.Refused` has it."""

    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One line of a worker: one of these."""

    about: About | None = None
    refusal: Refusal | None = None
    boxes: tuple[Detection, ...] | None = None


class Detectron2(Detector):
    """A network of detectron2's model zoo.

    Args:
        config: Name of its configuration there, such as
            `COCO-Detection/faster_rcnn_R_101_FPN_3x`.
        weights: File with its weights; `None` takes those of the model zoo's address.
        python: Interpreter that has detectron2; `None` tries this one.

    Raises:
        UsageError: There is no such configuration, or it is of no detector.
        DetectorMissing: The interpreter is not there, or has no detectron2.
        InputError: There is no such weights file.
        WeightsUnavailable: The model zoo has no weights for it.
    """

    def __init__(self, config: str, weights: Path | None, python: Path | None) -> None:
        if weights and not weights.is_file():
            raise InputError(f"There is no weights file {weights}.", "--detector-weights FILE")
        self._config = config.removesuffix(".yaml")
        self._weights = weights
        self._python = str(python or sys.executable)
        self.name = PREFIX + self._config
        with self._worker() as worker:
            self._about = worker.about()
        self.class_names = self._about.class_names
        self.digest = self._digest()

    def prepared(self, path: Path) -> Prepared:
        """Bring a picture to the network's size, as detectron2's `ResizeShortestEdge` does."""
        image, window = decode_near(path, self._about.shortest)
        size = network_size(window[2], window[3], self._about.shortest, self._about.longest)
        resized = image.resize(size, Image.Resampling.BILINEAR, box=window)
        return Prepared(np.asarray(resized), *size)

    def detect(self, pictures: Iterable[Prepared]) -> Iterator[tuple[Detection, ...]]:
        """What each picture shows, in order.

        Raises:
            InputError: The weights are not of this network.
            WeightsUnavailable: The model zoo's address cannot be reached.
            DetectorFailed: The worker ended, or its library failed.
        """
        with self._worker() as worker:
            worker.about()
            waiting = 0
            for picture in pictures:
                if waiting == AHEAD:
                    yield worker.boxes()
                    waiting -= 1
                worker.show(picture.pixels)
                waiting += 1
            for _ in range(waiting):
                yield worker.boxes()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[_Worker]:
        """A worker; it ends with the `with`, and when this process does."""
        with tempfile.TemporaryFile() as said:
            worker = _Worker(
                _process(self._python, said),
                said,
                python=self._python,
                config=self._config,
                weights=self._weights,
            )
            try:
                yield worker
            finally:
                worker.end()

    def _digest(self) -> str:
        weights = sha256_file(self._weights) if self._weights else self._about.weights
        described = {
            "protocol": PROTOCOL,
            "config": self._config,
            "config_sha256": self._about.config_sha256,
            "weights": weights,
            **self._about.versions,
        }
        return checksum(described)


def network_size(width: float, height: float, shortest: int, longest: int) -> tuple[int, int]:
    """Width and height of a picture at the network, whole pixels; its shape stays.

    Args:
        width: Of the picture, in pixels.
        height: Likewise.
        shortest: What its shorter side is brought to,
        longest: as long as the longer one has no more than these.
    """
    scale = min(shortest / min(width, height), longest / max(width, height))
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def _process(python: str, said: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        with interrupts_held_back():
            return subprocess.Popen(
                [python, detectron2_worker.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                **OWN_GROUP,
            )
    except OSError as error:
        raise DetectorMissing(
            f"{python} cannot be run to look for detectron2 ({error.strerror}).", INSTALL
        ) from error


class _Worker:
    """A process that looks at pictures.

    Args:
        process: It; its stdin and stdout are pipes.
        said: The file that its stderr goes to.
        python: The interpreter, for messages.
        config: Likewise the configuration,
        weights: and the file of its weights.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        said: IO[bytes],
        *,
        python: str,
        config: str,
        weights: Path | None,
    ) -> None:
        self._process = process
        self._said = said
        self._python = python
        self._config = config
        self._weights = weights
        question = {
            "config": config,
            "weights": str(weights.resolve()) if weights else "",
            "least_score": LEAST_SCORE,
        }
        self._send(json.dumps(question).encode())

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._process.wait()

    def about(self) -> About:
        """Its first answer.

        Raises:
            DetectorMissing: The interpreter has no detectron2, or is none.
            UsageError: It has no such configuration.
            WeightsUnavailable: The model zoo has no weights for it.
        """
        answer = self._heard()
        if answer is None or answer.about is None:
            raise DetectorMissing(
                f"{self._python} does not run detectron2 ({self._last_words()}).", INSTALL
            )
        return answer.about

    def show(self, pixels: np.ndarray) -> None:
        """Send it a picture."""
        self._send(detectron2_worker.SIZE.pack(*pixels.shape[:2]) + pixels.tobytes())

    def boxes(self) -> tuple[Detection, ...]:
        """What the picture shows that waits longest.

        Raises:
            DetectorFailed: It ended, or its library failed.
            InputError: The weights are not of this network.
            WeightsUnavailable: The model zoo's address cannot be reached.
        """
        answer = self._heard()
        if answer is None or answer.boxes is None:
            raise DetectorFailed(
                f"detectron2 ended while it looked at pictures ({self._last_words()}).", GO_ON
            )
        return answer.boxes

    def _send(self, body: bytes) -> None:
        """Send a frame; a dead worker is noticed when it is heard next."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(detectron2_worker.LENGTH.pack(len(body)))
            self._process.stdin.write(body)
            self._process.stdin.flush()

    def _heard(self) -> Answer | None:
        """Its next line; `None` where it ended, or says what no worker would."""
        assert self._process.stdout is not None
        try:
            answer = from_json(Answer, json.loads(self._process.stdout.readline()))
        except (ValueError, UsageError):
            return None
        if answer.refusal:
            raise self._refused(answer.refusal)
        return answer

    def _refused(self, refusal: Refusal) -> CarsBenchError:
        name = self._config
        why = refusal.message
        match refusal.kind:
            case "missing":
                return DetectorMissing(f"{self._python} has no detectron2 ({why}).", INSTALL)
            case "config":
                return UsageError(
                    f"{name} is no detector of detectron2's model zoo: {why}.",
                    f"--crop detector:{PREFIX}COCO-Detection/faster_rcnn_R_101_FPN_3x",
                )
            case "zoo":
                return WeightsUnavailable(
                    f"The weights of {name} are not to be had: {why}.",
                    f"give them by --detector-weights FILE, {OFFLINE}",
                )
            case "weights":
                return InputError(
                    f"{self._weights or 'What the model zoo has'} does not fit {name}: {why}.",
                    "give the weights of this network by --detector-weights FILE",
                )
        return DetectorFailed(f"detectron2 failed ({why}).", GO_ON)

    def _last_words(self) -> str:
        """How it ended, and the last line that it or its libraries wrote."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(DEATH_SECONDS)
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        words = "".join(filter(str.isprintable, lines[-1][:SHOWN])) if lines else ""
        ended = "it answers as no worker does" if code is None else f"exit {code}"
        return f"{ended}: {words}" if words else ended
