"""Runs the batches of one epoch on whichever backend Keras was started with.

Both engines run Keras' own train step on the same drawn batches.  On JAX a
whole epoch is one compiled call (`lax.scan` over the step, the features
resident on the device); on TensorFlow and torch the steps are called one by
one.  Neither tensorflow nor torch is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from cars_bench.cache.store import Features
from cars_bench.errors import UsageError
from cars_bench.training.answers import Answers, class_count, has_box
from cars_bench.training.batches import EpochBatches, shares
from cars_bench.training.forward import CompiledForward, full_precision

CHUNK_BYTES = 256 * 2**20
RESIDENT_BYTES = 2**30
EVALUATION_BATCH = 64

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Views(Protocol):
    """Stored activations: a numpy array, or one that reads from disk when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(images, views, *activation)`."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16 or float32."""

    def __getitem__(self, index: tuple[Any, Any]) -> Array:
        """Activations `[B, *activation]` of image and view indices `[B]`."""


@dataclass(frozen=True)
class Examples:
    """Activations with their labels.

    Attributes:
        x: float16 or float32 `[N, V, *activation]`.
        labels: int64 `[N]`, from 0.
        boxes: float32 `[N, V, 4]`, where the object lies in each view, as shares of its
            sides, NaN where that is not known; `None` where no box is learnt.
    """

    x: Views
    labels: npt.NDArray[np.int64]
    boxes: Views | None = None

    @classmethod
    def of(cls, features: Features, boxes: Views | None = None) -> Examples:
        """Those of one split of a cache."""
        return cls(features.x, features.labels, boxes)


@dataclass(frozen=True)
class Joined:
    """Two arrays of stored activations behind one another, in memory or on disk.

    Where the second has fewer views than the first, its views repeat.

    Attributes:
        first: `[N, V, ...]`.
        second: `[M, W, ...]`, W at most V.
    """

    first: Views
    second: Views

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N + M, V, ...)`."""
        count, *rest = self.first.shape
        return (count + self.second.shape[0], *rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the first."""
        return self.first.dtype

    def __getitem__(self, index: tuple[Any, Any]) -> Array:
        """Activations of image and view indices, broadcast against each other."""
        images, views = np.broadcast_arrays(*index)
        count = self.first.shape[0]
        here = images < count
        out = np.empty((*images.shape, *self.shape[2:]), self.dtype)
        if here.any():
            out[here] = self.first[images[here], views[here]]
        if not here.all():
            own = views[~here] % self.second.shape[1]
            out[~here] = self.second[images[~here] - count, own]
        return out


def joined(first: Examples, second: Examples) -> Examples:
    """Both as one, the second behind the first."""
    labels = np.concatenate([first.labels, second.labels])
    boxes = None
    if first.boxes is not None and second.boxes is not None:
        boxes = Joined(first.boxes, second.boxes)
    return Examples(Joined(first.x, second.x), labels, boxes)


class Engine:
    """Runs a compiled model's own train step batch by batch (TensorFlow, torch)."""

    def __init__(self, model: keras.Model, examples: Examples) -> None:
        self.model = model
        self.examples = examples
        self.classes = class_count(model)
        self.boxes = _boxes(model, examples)
        model.optimizer.build(model.trainable_variables)

    def run(self, batches: EpochBatches, rates: Floats) -> float:
        """Train on one epoch's batches.

        Args:
            batches: S batches.
            rates: float32 `[S]`, the learning rate of each.

        Returns:
            Mean training loss.
        """
        losses = []
        for step in range(batches.steps):
            self.model.optimizer.learning_rate = float(rates[step])
            x, targets = self._batch(batches, step)
            logs = self.model.train_on_batch(
                x, targets, sample_weight=batches.weight[step], return_dict=True
            )
            losses.append(float(logs["loss"]))
        return float(np.mean(losses))

    def answers(self, x: Views) -> Answers:
        """What the model says of the plain view of `x`, without dropout."""
        return Answers.of(_in_blocks(self.forward, x), self.classes)

    def forward(self, x: Floats) -> Any:
        """Outputs for one block, float32 `[B, C]` or `[B, C + 4]`."""
        return self.model.predict_on_batch(x)

    def capture(self) -> list[Array]:
        """Copies of every variable of the model, then of the optimizer."""
        return [np.array(ops.convert_to_numpy(variable.value)) for variable in self.variables]

    def restore(self, values: list[Array]) -> None:
        """Put captured values back; a shorter list restores the model alone."""
        for variable, value in zip(self.variables, values, strict=False):
            variable.assign(value)

    @contextmanager
    def averaged(self, wanted: bool) -> Iterator[None]:
        """Put the running averages of the weights in their place while the body runs."""
        if not wanted:
            yield
            return
        trained = self.model.trainable_variables
        now = [np.array(ops.convert_to_numpy(variable.value)) for variable in trained]
        self.model.optimizer.finalize_variable_values(trained)
        try:
            yield
        finally:
            for variable, value in zip(trained, now, strict=True):
                variable.assign(value)

    @property
    def variables(self) -> list[keras.Variable]:
        """The model's variables, then the optimizer's."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def _batch(self, batches: EpochBatches, step: int) -> tuple[Floats, Floats]:
        """Features float32 `[B, ...]` of one step, and its soft targets float32 `[B, C]`.

        Behind these stand the boxes where the model has one: `[B, C + 4]`.
        """
        x = np.asarray(self.examples.x[batches.image[step], batches.view[step]], np.float32)
        targets = self._one_hot(batches.image[step])
        if batches.mixes:
            partner = self.examples.x[batches.partner[step], batches.partner_view[step]]
            part = shares(np, batches.mix[step], batches.window[step], x.ndim - 1, x.shape[1:3])
            x = part * x + (1 - part) * np.asarray(partner, np.float32)
            share = part.reshape(len(x), -1).mean(1, keepdims=True)
            targets = share * targets + (1 - share) * self._one_hot(batches.partner[step])
        boxes = self.boxes[batches.image[step], batches.view[step]]
        return x, np.concatenate([targets, boxes], axis=1)

    def _one_hot(self, images: Array) -> Floats:
        return np.eye(self.classes, dtype=np.float32)[self.examples.labels[images]]


class ScanEngine(Engine):
    """One compiled call per epoch (JAX); activations too big to keep go in chunks of steps."""

    def __init__(self, model: keras.Model, examples: Examples) -> None:
        super().__init__(model, examples)
        import jax

        self._epoch = jax.jit(self._scan, donate_argnums=0)
        self._forward = CompiledForward(model)
        rate = model.optimizer.learning_rate
        self._rate_index = next(
            index for index, item in enumerate(model.optimizer.variables) if item is rate
        )
        count, *shape = examples.x.shape
        self._bytes_per_image = int(np.prod(shape)) * examples.x.dtype.itemsize
        self._resident: Any = None
        if count * self._bytes_per_image <= RESIDENT_BYTES:
            everything = examples.x[np.arange(count)[:, None], np.arange(shape[0])[None]]
            boxes = self.boxes[np.arange(count)[:, None], np.arange(shape[0])[None]]
            self._resident = tuple(map(jax.numpy.asarray, (everything, examples.labels, boxes)))

    def run(self, batches: EpochBatches, rates: Floats) -> float:
        """Train on one epoch's batches; see `Engine.run`."""
        state = self._state()
        losses = []
        for data, part, part_rates in self._chunks(batches, rates):
            state, loss = self._epoch(state, data, _arrays(part), part_rates)
            losses.append(np.asarray(loss))
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return float(np.concatenate(losses).mean())

    def forward(self, x: Floats) -> Any:
        """Outputs for one block, float32 `[B, C]` or `[B, C + 4]`."""
        return self._forward(x)

    def _variables(self) -> tuple[list[keras.Variable], ...]:
        model = self.model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )

    def _state(self) -> tuple[list[Any], ...]:
        # Copies: the compiled epoch reuses the buffers that it is given.
        return tuple([ops.copy(v.value) for v in part] for part in self._variables())

    def _chunks(
        self, batches: EpochBatches, rates: Floats
    ) -> Iterator[tuple[Any, EpochBatches, Floats]]:
        if self._resident is not None:
            yield self._resident, batches, rates
            return
        per_step = batches.image.shape[1] * self._bytes_per_image // self.examples.x.shape[1]
        length = max(1, CHUNK_BYTES // max(per_step, 1))
        for start in range(0, batches.steps, length):
            here = slice(start, start + length)
            part = EpochBatches(**{name: value[here] for name, value in vars(batches).items()})
            yield *self._gathered(part), rates[here]

    def _gathered(self, batches: EpochBatches) -> tuple[Any, EpochBatches]:
        """Read a chunk's images, partners behind them, and point its batches at them."""
        images = batches.image.ravel()
        views = batches.view.ravel()
        mixed = batches.mixes
        if mixed:
            images = np.concatenate([images, batches.partner.ravel()])
            views = np.concatenate([views, batches.partner_view.ravel()])
        x, boxes = (part[images, views][:, None] for part in (self.examples.x, self.boxes))
        here = np.arange(batches.image.size, dtype=np.int32).reshape(batches.image.shape)
        first = np.zeros_like(here)
        partner = here + batches.image.size if mixed else here
        local = replace(batches, image=here, view=first, partner=partner, partner_view=first)
        return (x, self.examples.labels[images], boxes), local

    def _scan(self, state: Any, data: Any, batches: Any, rates: Any) -> Any:
        import jax

        with full_precision():
            return jax.lax.scan(
                lambda carry, batch: self._step(carry, data, batch), state, (batches, rates)
            )

    def _step(self, state: Any, data: Any, batch: Any) -> Any:
        import jax

        (image, view, weight, mixing), rate = batch
        features, labels, boxes = data
        x = features[image, view].astype(np.float32)
        targets = ops.one_hot(labels[image], self.classes)
        if mixing is not None:
            partner, partner_view, mix, window = mixing
            part = shares(jax.numpy, mix, window, features.ndim - 2, features.shape[2:4])
            x = part * x + (1 - part) * features[partner, partner_view]
            share = part.reshape(len(part), -1).mean(1, keepdims=True)
            targets *= share
            targets += (1 - share) * ops.one_hot(labels[partner], self.classes)
        targets = ops.concatenate([targets, boxes[image, view]], axis=1)
        trainable, frozen, optimizer, metrics = state
        optimizer = [*optimizer]
        optimizer[self._rate_index] = rate
        fresh = [ops.zeros_like(value) for value in metrics]
        logs, state = self.model.train_step(
            (trainable, frozen, optimizer, fresh), (x, targets, weight)
        )
        return state, logs["loss"]


def build_engine(model: keras.Model, examples: Examples) -> Engine:
    """The fastest engine for the backend in force; `model` must be compiled."""
    kind: Callable[[keras.Model, Examples], Engine] = Engine
    if keras.backend.backend() == "jax":
        kind = ScanEngine
    return kind(model, examples)


def _arrays(batches: EpochBatches) -> tuple[Any, ...]:
    """Image, view, weight, and what is mixed in; of the latter `None` where nothing is."""
    mixing = (batches.partner, batches.partner_view, batches.mix, batches.window)
    return batches.image, batches.view, batches.weight, mixing if batches.mixes else None


@dataclass(frozen=True)
class NoBoxes:
    """In place of the boxes where none is learnt: of no width."""

    dtype = np.dtype(np.float32)
    shape = (0, 0, 0)

    def __getitem__(self, index: tuple[Any, Any]) -> Array:
        """float32 `[B, 0]` of image and view indices `[B]`."""
        return np.zeros((*np.broadcast_shapes(*map(np.shape, index)), 0), np.float32)


def _boxes(model: keras.Model, examples: Examples) -> Views:
    """The boxes that a model learns."""
    if not has_box(model):
        return NoBoxes()
    if examples.boxes is None:
        raise UsageError(
            "A head with a box needs images whose boxes are known.", "leave the box out of the head"
        )
    return examples.boxes


def logits_of(model: keras.Model, x: Views) -> Floats:
    """Logits float32 `[N, C]` of any model for the plain view of `x`."""
    return answers_of(model, x).logits


def answers_of(model: keras.Model, x: Views) -> Answers:
    """What any model that puts out logits, and perhaps boxes, says of the plain view of `x`."""
    return Answers.of(outputs_of(model, x), class_count(model))


def outputs_of(model: keras.Model, x: Views) -> Floats:
    """Outputs float32 `[N, ...]` of any model with one output for the plain view of `x`."""
    compiled = keras.backend.backend() == "jax"
    return _in_blocks(CompiledForward(model) if compiled else model.predict_on_batch, x)


def _in_blocks(forward: Callable[[Floats], Any], x: Views) -> Floats:
    """Run blocks of one length (the last filled up), so that nothing is compiled twice."""
    count = x.shape[0]
    size = min(EVALUATION_BATCH, count)
    blocks = []
    for start in range(0, count, size):
        images = np.arange(start, start + size) % count
        block = np.asarray(x[images, np.zeros_like(images)], np.float32)
        real = min(size, count - start)
        blocks.append(np.asarray(ops.convert_to_numpy(forward(block))[:real], np.float32))
    return np.concatenate(blocks)
