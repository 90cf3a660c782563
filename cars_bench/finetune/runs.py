"""The runs of a study, as their records tell; Keras is not imported here."""

from __future__ import annotations

import json

from cars_bench.tuning.study import Study


def frozen_test_top1(study: Study, trial_id: str) -> float | None:
    """Frozen test top-1 of a trial's head, from the last run that finished it."""
    found = None
    for path in sorted((study.folder / "final").glob("*/run.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        test = run["frozen"].get("test")
        if run["trial_id"] == trial_id and test:
            found = float(test["top1"]["value"])
    return found
