"""What a worker does: it trains the heads it is told to and says how it went.

Its process, and how it is spoken to, stand in `worker_process.py`.  It never
touches the ledger.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cars_bench.cache.store import FeatureCache
from cars_bench.documents import from_json, to_json
from cars_bench.errors import CarsBenchError, TrialFailed
from cars_bench.evaluation.metrics import wilson
from cars_bench.training.checkpoint import (
    EpochResult,
    TrainingState,
    read_checkpoint,
    write_checkpoint,
)
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.examples import cached_examples, training_examples
from cars_bench.training.heads import parameter_count
from cars_bench.training.loop import TrainingControl
from cars_bench.tuning.ranking import pack
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import (
    HeadTraining,
    store_winner,
    train_head,
    training_of,
)
from cars_bench.tuning.worker_pool import TrainingJob, WorkerConfig
from cars_bench.workspace import Workspace

OUT_OF_MEMORY = ("resource_exhausted", "out of memory", "not enough memory", "can't allocate")
Say = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class TrialTraining(HeadTraining):
    """What a checkpoint belongs to: another cache or backend trains another head.

    Attributes:
        cache_key: Of the features.
        backend: That Keras runs on.
    """

    cache_key: str
    backend: str


class Worker:
    """Holds the data and trains one head after another."""

    def __init__(self, config: WorkerConfig, say: Say) -> None:
        self.config = config
        self.say = say
        self.workspace = Workspace(Path(config.workspace))
        self.cache = FeatureCache.open(self.workspace, config.cache_key)
        self.data: tuple[Examples, Examples] | None = None

    def run(self, job: TrainingJob) -> None:
        """Do one job; a failure is the job's own unless nothing can go on."""
        begun = time.monotonic()
        try:
            said = self._store(job) if job.kind == "store" else self._train(job, begun)
        except CarsBenchError:
            raise
        except Exception as failure:
            seconds = round(time.monotonic() - begun, 3)
            self.say("failed", reason=reason_of(failure), seconds=seconds, memory_bytes=memory())
        else:
            self.say("completed", **said, memory_bytes=memory())
        finally:
            forget()

    def _store(self, job: TrainingJob) -> dict[str, Any]:
        study = Study.open(self.workspace, self.config.study)
        trial = study.trial(job.trial_id)
        identity = self._identity(training_of(study, trial))
        start = None if job.refit else self._checkpoint(study.checkpoint(trial.trial_id), identity)
        head = store_winner(study, trial, self.cache, job.refit, start)
        return {"score": float((head.logits.argmax(1) == head.labels).mean())}

    def _train(self, job: TrainingJob, begun: float) -> dict[str, Any]:
        assert job.head is not None
        assert job.training is not None
        what = HeadTraining(job.head, job.training, self.config.classes, job.seed)
        train_set, val_set = self._examples(what.head.box)
        identity = self._identity(what)
        checkpoint = Path(job.checkpoint)
        start = self._checkpoint(checkpoint, identity)
        earlier = self._resumed(job, start)

        def note(row: EpochResult, state: Callable[[], TrainingState]) -> None:
            self.say("epoch", **asdict(row))
            if earlier + time.monotonic() - begun > self.config.checkpoint_after_seconds:
                write_checkpoint(checkpoint, state(), identity)

        model, done = train_head(what, train_set, val_set, TrainingControl(note, start))
        correct = logits_of(model, val_set.x).argmax(1) == val_set.labels
        score = wilson(int(correct.sum()), len(correct))
        return {
            "score": score.value,
            "low": score.low,
            "high": score.high,
            "best_epoch": done.best_epoch,
            "parameters": parameter_count(what.head, train_set.x.shape[2:], what.classes),
            "seconds": round(earlier + time.monotonic() - begun, 3),
            "correct": pack(np.asarray(correct, bool)),
            "val_iou": done.history[done.best_epoch - 1].val_iou,
        }

    def _checkpoint(self, path: Path, identity: dict[str, Any]) -> TrainingState | None:
        return read_checkpoint(path, identity, partial(from_json, TrialTraining))

    def _identity(self, what: HeadTraining) -> dict[str, Any]:
        backend = keras.backend.backend()
        return to_json(
            TrialTraining(**vars(what), cache_key=self.config.cache_key, backend=backend)
        )

    def _examples(self, box: bool) -> tuple[Examples, Examples]:
        """The features, read once; with boxes from the first head on that learns them."""
        if self.data is None or (box and self.data[0].boxes is None):
            self.say("doing", text="loading the features")
            train_set = training_examples(self.cache, box=box)
            self.data = train_set, cached_examples(self.cache, "val", box)
            self.say("doing", text="compiling the first heads")
        return self.data

    def _resumed(self, job: TrainingJob, start: TrainingState | None) -> float:
        """Say from where the training goes on; returns the seconds it took so far."""
        history = start.history if start else []
        self.say("started", after=len(history))
        for row in history[job.known_epochs :]:
            self.say("epoch", **asdict(row))
        return sum(row.seconds for row in history)


def reason_of(failure: Exception) -> str:
    """Why a trial failed, in one line."""
    text = str(failure).strip()
    if isinstance(failure, TrialFailed):
        return text
    if isinstance(failure, MemoryError) or any(word in text.lower() for word in OUT_OF_MEMORY):
        return "out of memory"
    return f"{type(failure).__name__}: {text.splitlines()[0] if text else ''}"


def memory() -> int:
    """Resident memory of this process in bytes; 0 where the system does not say."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return 0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget() -> None:
    """Give back what the last head left behind: graphs and compiled programs."""
    keras.backend.clear_session(free_memory=False)
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    gc.collect()
