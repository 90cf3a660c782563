"""Seconds until a search is within half a point of the best of many random trials, per oracle.

python benchmarks/tune_quality.py --trials 100
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from searching import close, ledger_events, parser, prepared

from cars_bench.workspace import Workspace

ORACLES = ("random", "bayesian", "hyperband")
WITHIN = 0.005


def searched(
    workspace: Workspace, oracle: str, trials: int, space: str
) -> list[tuple[float, float]]:
    """(seconds since the start, best validation top-1 so far) after each trial."""
    words = ["tune", "--oracle", oracle, "--trials", str(trials), "--space", space]
    words += ["--study", oracle, "--repeats", "0", "--quiet"]
    environment = os.environ | {"CARS_BENCH_WORKSPACE": str(workspace.root)}
    subprocess.run(
        [sys.executable, "-m", "cars_bench", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    events = ledger_events(workspace, oracle)
    begun, best, curve = events[0]["time"], 0.0, []
    for event in events:
        if event["event"] == "completed":
            best = max(best, event["score"])
            curve.append((event["time"] - begun, best))
    return curve


def main() -> None:
    """Search with each oracle and compare with the random one's best."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--space", default="default")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = prepared(Path(folder), arguments)
        curves = {
            oracle: searched(workspace, oracle, arguments.trials, arguments.space)
            for oracle in ORACLES
        }
    target = curves["random"][-1][1] - WITHIN
    reached = {
        oracle: next((round(seconds, 1) for seconds, best in curve if best >= target), None)
        for oracle, curve in curves.items()
    }
    seconds = reached["bayesian"]
    close(
        {
            "ratio": round((reached["random"] or 0.0) / seconds, 2) if seconds else None,
            "seconds_to_target": reached,
            "target_val_top1": round(target, 4),
            "best_val_top1": {oracle: round(curve[-1][1], 4) for oracle, curve in curves.items()},
            "seconds": {oracle: round(curve[-1][0], 1) for oracle, curve in curves.items()},
            "trials": {oracle: len(curve) for oracle, curve in curves.items()},
        }
    )


if __name__ == "__main__":
    main()
