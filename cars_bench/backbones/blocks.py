"""Where a network's blocks begin and end, read off its layers' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.errors import UsageError


@dataclass(frozen=True)
class Block:
    """One block in the order of the data.

    Attributes:
        name: Its fine name (`conv5_block2`, `block6b`), or the stage's where it has one block.
        stage: The stage it belongs to (`conv5`, `block6`).
        layers: Names of its layers, in order; the last one's output ends the block.
    """

    name: str
    stage: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class BlockMap:
    """All blocks of one network, from the stem to the last feature map."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, spec: BackboneSpec, layer_names: Sequence[str]) -> BlockMap:
        """Sort `layer_names` (in the order of the data) into blocks."""
        found: dict[tuple[str, str], list[str]] = {}
        counted = _counted(spec.stage_repeats)
        stem = spec.blocks[0]
        current = (stem, stem)
        for layer in layer_names:
            match = re.match(spec.block_pattern, layer)
            if match is not None:
                current = counted[int(match[1] or 0)] if counted else (match[1], match[2])
            elif current[0] != stem and spec.blocks[-1] == "top":
                current = ("top", "top")
            found.setdefault(current, []).append(layer)
        return cls(tuple(Block(*label, tuple(items)) for label, items in found.items()))

    @property
    def names(self) -> list[str]:
        """Every name that is understood: stages first, then the blocks inside them."""
        stages = dict.fromkeys(block.stage for block in self.blocks)
        return list(stages | dict.fromkeys(block.name for block in self.blocks))

    def first(self, name: str) -> int:
        """Position of the first block called `name`, a stage or a block.

        Raises:
            UsageError: No block is called so; the message lists the names.
        """
        return self._positions(name)[0]

    def last(self, name: str) -> int:
        """Position of the last block called `name`; Raises as `first`."""
        return self._positions(name)[-1]

    def below(self, name: str) -> str:
        """Name of the block that ends where `name` begins, the stage's name if it ends one.

        Raises:
            UsageError: `name` is unknown, or is the stem, below which are only pixels.
        """
        position = self.first(name)
        if position == 0:
            raise UsageError(
                f"Nothing lies below {name!r} but the pixels.",
                "choose a higher block, or train on live images (--live)",
            )
        block = self.blocks[position - 1]
        above = self.blocks[position]
        return block.name if block.stage == above.stage else block.stage

    def holding(self, layer: str) -> str:
        """Name of the block that holds the layer called `layer`.

        Raises:
            UsageError: The network has no such layer.
        """
        for block in self.blocks:
            if layer in block.layers:
                return block.name
        raise UsageError(f"The backbone has no layer called {layer!r}.", "see finetune --dry-run")

    def _positions(self, name: str) -> list[int]:
        found = [i for i, block in enumerate(self.blocks) if name in (block.name, block.stage)]
        if not found:
            raise UsageError(
                f"The backbone has no block called {name!r}.",
                f"choose one of: {', '.join(self.names)}",
            )
        return found


def _counted(stage_repeats: tuple[int, ...]) -> list[tuple[str, str]]:
    """Name and stage of every block, where the layers' names only count the blocks."""
    return [
        (f"block{stage}{chr(ord('a') + index)}", f"block{stage}")
        for stage, repeats in enumerate(stage_repeats, 1)
        for index in range(repeats)
    ]
