"""`cars-bench probe`: the anchors, with their intervals."""

from __future__ import annotations

import json

from cars_bench.cli.probe import probe
from cars_bench.cli.session import Session
from tests.tuning.studies import make_cache


def test_every_probe_is_told_with_its_interval(workspace, tiny_dataset, capsys):
    make_cache(workspace, tiny_dataset)
    session = Session(workspace, json_output=True, quiet=True)
    assert session.run(lambda: probe(session)) == 0
    document = json.loads(capsys.readouterr().out)
    names = {row["trial_id"] for row in document["probes"]}
    assert names == {"probe-ridge", "probe-logistic", "probe-knn"}
    assert all(row["low"] <= row["score"] <= row["high"] for row in document["probes"])
    session = Session(workspace, json_output=False, quiet=True)
    assert session.run(lambda: probe(session)) == 0
    assert "validation top-1" in capsys.readouterr().out


def test_without_a_cache_it_says_how_to_make_one(workspace, capsys):
    session = Session(workspace, json_output=True, quiet=True)
    assert session.run(lambda: probe(session)) == 3
    assert "cars-bench extract" in json.loads(capsys.readouterr().out)["error"]["fix"]
