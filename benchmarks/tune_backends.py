"""The same search on each Keras backend, with one worker and with the default number of them.

The settings run in turn, each in a process of its own; a setting's time is that
of its whole search, the workers' start and compilation included.

    python benchmarks/tune_backends.py
    python benchmarks/tune_backends.py --backends jax tensorflow torch --cache WORKSPACE
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from searching import close, in_own_process, parser, prepared, search, write_space

from cars_bench.workspace import Workspace


def main() -> None:
    """Measure every setting in turn, or be one of them."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--backends", nargs="+", default=["jax", "tensorflow"])
    options.add_argument("--trials", type=int, default=8)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.root:
        close(search(Workspace(arguments.root), arguments.root / "space.yaml", arguments))
        return
    settings = [(backend, workers) for backend in arguments.backends for workers in (1, 0)]
    seconds: dict[tuple[str, int], list[float]] = {setting: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepared(root, arguments)
        write_space(root / "space.yaml", arguments)
        for _ in range(arguments.rounds):
            for setting in settings:
                found = in_own_process(__file__, setting[0], root, *_words(setting[1]))
                seconds[setting].append(found["seconds"] / found["epochs"])
    middle = {setting: statistics.median(values) for setting, values in seconds.items()}
    best = min(middle.values())
    close(
        {
            "seconds_a_trial_epoch": {
                _name(*key): round(value, 4) for key, value in middle.items()
            },
            "ratio": {_name(*key): round(value / best, 2) for key, value in middle.items()},
            "trials": arguments.trials,
            "epochs": arguments.epochs,
            "batch": arguments.batch,
            "rounds": arguments.rounds,
        }
    )


def _words(workers: int) -> list[str]:
    return ["--workers", str(workers)] if workers else []


def _name(backend: str, workers: int) -> str:
    return f"{backend}, one worker" if workers else f"{backend}, default workers"


if __name__ == "__main__":
    main()
