"""How soon the program answers, against Python itself and against importing Keras.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

OURS = [sys.executable, "-m", "cars_bench"]
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "help": [*OURS, "--help"],
    "status": [*OURS, "status"],
    "keras": [sys.executable, "-c", "import keras"],
}
ROUNDS = 7


def main() -> None:
    """Run every command in turn, several times, and print the medians and their ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"CARS_BENCH_WORKSPACE": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
        for _ in range(ROUNDS):
            for name, command in COMMANDS.items():
                begun = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - begun)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: round(middle["keras"] / middle[name], 1) for name in ("help", "status")}
    print(
        json.dumps(
            {"seconds": {name: round(value, 3) for name, value in middle.items()}}
            | {"import_keras_over": ratios, "rounds": ROUNDS}
        )
    )


if __name__ == "__main__":
    main()
