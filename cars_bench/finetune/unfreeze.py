"""What to unfreeze: a block, a number of layers, everything above one, all or nothing.

And the proof, after training, that this moved and nothing else did.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from cars_bench.backbones.build import Backbone
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.finetune.handoff import FrozenCheck
from cars_bench.finetune.recipe import ALL, ALL_BUT, LAST, NOTHING

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


@dataclass(frozen=True)
class Unfreeze:
    """Which part of a backbone is trained.

    Attributes:
        text: As it was asked for.
        boundary: The last whole block below it, where cached activations can
            take over; `None` when nothing below is frozen.
        layers: Names of the layers that are trained, batch norms excluded.
    """

    text: str
    boundary: str | None
    layers: tuple[str, ...]


def parse_unfreeze(text: str | None, backbone: Backbone) -> Unfreeze:
    """Understand `BLOCK`, `last:N`, `all-but:N`, `from:LAYER`, `all` or `none`.

    `last:N` counts convolutional layers, depthwise and separable ones too;
    `all-but:N` leaves the first N blocks (stages such as `conv1`) frozen.

    Args:
        text: What was asked for; `None` takes the backbone's default block.
        backbone: Gives the names.

    Raises:
        UsageError: The text names nothing in this backbone.
    """
    text = text or backbone.spec.default_unfreeze
    order = [layer.name for layer in backbone.model.layers]
    if text == NOTHING:
        return Unfreeze(text, backbone.blocks.names[-1], ())
    start = _first_layer(text, backbone, order)
    trained = [name for name in order[start:] if _is_trained(backbone.model.get_layer(name))]
    if not trained:
        raise UsageError(
            f"--unfreeze {text} leaves nothing of the backbone to train.",
            "name an earlier layer, or say --unfreeze none",
        )
    return Unfreeze(text, _boundary(backbone, order[start]), tuple(trained))


def apply_unfreeze(backbone: Backbone, unfreeze: Unfreeze) -> None:
    """Set `trainable` layer by layer; every BatchNormalization stays frozen.

    Calling a backbone with `training=False` does not freeze its batch norms
    under `fit` in Keras 3 (keras#20285); `trainable=False` on each does.
    """
    for layer in backbone.model.layers:
        layer.trainable = layer.name in unfreeze.layers


def seed_dropout(backbone: Backbone, seed: int) -> None:
    """Seed the backbone's own dropout (stochastic depth), which Keras seeds from the clock."""
    for index, layer in enumerate(backbone.model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed, index])


def values_of(backbone: keras.Model) -> dict[str, bytes]:
    """The bytes of every variable of the backbone by path, batch norms included."""
    return {
        variable.path: keras.ops.convert_to_numpy(variable.value).tobytes()
        for variable in backbone.variables
    }


def check_frozen(before: dict[str, bytes], backbone: keras.Model) -> FrozenCheck:
    """Compare with `values_of` before training.

    Raises:
        CarsBenchError: A frozen variable moved, or an unfrozen layer did not.
    """
    now = values_of(backbone)
    changed = {path for path, value in before.items() if now[path] != value}
    moved = sorted(changed & {item.path for item in backbone.non_trainable_variables})
    if moved:
        raise CarsBenchError(f"Frozen variables moved: {', '.join(moved[:3])}.", "report this")
    unmoved = [
        layer.name
        for layer in backbone.layers
        if layer.trainable_variables
        and changed.isdisjoint(variable.path for variable in layer.trainable_variables)
    ]
    if unmoved:
        raise CarsBenchError(
            f"Training did not change what is unfrozen: {', '.join(unmoved[:3])}.",
            "raise the rate with --lr",
        )
    norms = {
        variable.path
        for layer in backbone.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in layer.variables
    }
    return FrozenCheck(len(before) - len(changed), len(norms - changed), len(changed))


def _first_layer(text: str, backbone: Backbone, order: list[str]) -> int:
    if text == ALL:
        return 0
    if text.startswith("from:"):
        name = text.removeprefix("from:")
        backbone.blocks.holding(name)
        return order.index(name)
    if text.startswith(LAST):
        return _last_convolutions(text, backbone, order)
    if text.startswith(ALL_BUT):
        return order.index(_after_blocks(text, backbone))
    return order.index(backbone.blocks.blocks[backbone.blocks.first(text)].layers[0])


def _last_convolutions(text: str, backbone: Backbone, order: list[str]) -> int:
    number = text.removeprefix(LAST)
    convolutions = [
        index
        for index, name in enumerate(order)
        if isinstance(backbone.model.get_layer(name), CONVOLUTIONS)
    ]
    if not number.isdigit() or not 0 < int(number) <= len(convolutions):
        raise UsageError(
            f"--unfreeze {text} needs a number from 1 to {len(convolutions)}.",
            "count convolutional layers, depthwise ones too, as in last:5",
        )
    return convolutions[-int(number)]


def _after_blocks(text: str, backbone: Backbone) -> str:
    """The first layer above the blocks that stay frozen."""
    number = text.removeprefix(ALL_BUT)
    stages = list(dict.fromkeys(block.stage for block in backbone.blocks.blocks))
    if not number.isdigit() or not 0 < int(number) < len(stages):
        raise UsageError(
            f"--unfreeze {text} needs a number from 1 to {len(stages) - 1}.",
            f"count the blocks that stay frozen, of {', '.join(stages)}",
        )
    return backbone.blocks.blocks[backbone.blocks.first(stages[int(number)])].layers[0]


def _boundary(backbone: Backbone, layer: str) -> str | None:
    block = backbone.blocks.holding(layer)
    return backbone.boundary_below(block) if backbone.blocks.first(block) > 0 else None


def _is_trained(layer: keras.layers.Layer) -> bool:
    return bool(layer.weights) and not isinstance(layer, keras.layers.BatchNormalization)
