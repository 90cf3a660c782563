"""A training step on TensorFlow with oneDNN, as our commands start it, against without.

TensorFlow by itself uses oneDNN on processors with AVX512-VNNI only; here both sides are told.
Each measurement is a process of its own and the sides take turns; the figure is the ratio of the
medians of their steps on made-up data.

    python benchmarks/onednn.py
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
SIDES = ("1", "0")
TOPS = {"efficientnet-lite0": 288, "resnet50": 224}
"""Backbones whose top block is trained, and their pixels."""
SCRATCH = "residual network from scratch"
SCRATCH_SIDE = 64  # pixels
STAGES = ((16, 3), (32, 4), (64, 4), (128, 3))  # filters and blocks


def main() -> None:
    """Measure both sides in turn and print one JSON line."""
    arguments = _arguments()
    if arguments.side:
        print(json.dumps(measured(arguments.batch)))
        return
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(arguments.rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            for what, seconds in _in_a_process(arguments.batch, side).items():
                found.setdefault(what, {}).setdefault(side, []).append(seconds)
    ratios = {what: _ratio(sides) for what, sides in found.items()}
    print(json.dumps({"benchmark": "onednn", "batch": arguments.batch, **ratios}))


def _ratio(sides: dict[str, list[float]]) -> dict[str, float]:
    ours, theirs = (statistics.median(sides[side]) for side in SIDES)
    return {
        "onednn_seconds_per_step": round(ours, 4),
        "plain_seconds_per_step": round(theirs, 4),
        "ratio": round(ours / theirs, 2),
    }


def _in_a_process(batch: int, side: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--batch", str(batch)]
    done = subprocess.run(
        command, env=os.environ | {SWITCH: side}, stdout=subprocess.PIPE, text=True, check=True
    )
    print(f"{SWITCH}={side}: {done.stdout.strip()}", file=sys.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(batch: int) -> dict[str, float]:
    """Seconds of a training step, by what is trained."""
    from finetune_floor import CLASSES, engine_seconds, top_model

    from cars_bench.training.heads import build_head
    from cars_bench.training.specs import ConvStage, HeadSpec

    found = {}
    for name, size in TOPS.items():
        model, unfreeze = top_model(name, size)
        found[f"{name} from {unfreeze.text}"] = engine_seconds(model, batch)
    stages = tuple(
        ConvStage(filters=filters, blocks=blocks, residual=True, batch_norm=True, reduce="stride")
        for filters, blocks in STAGES
    )
    shape = (SCRATCH_SIDE, SCRATCH_SIDE, 3)
    found[SCRATCH] = engine_seconds(build_head(HeadSpec(stages=stages), shape, CLASSES), batch)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
