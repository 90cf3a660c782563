from __future__ import annotations

from dataclasses import replace

from cars_bench.reports.fidelity import fidelity_facts


def _without(finished, *names):
    record = {name: value for name, value in finished.run.record.items() if name not in names}
    return replace(finished, runs=(replace(finished.run, record=record),))


def test_features_and_hand_off_say_by_how_much(finished):
    facts = fidelity_facts(finished)
    assert facts is not None
    assert facts.features == (
        ("Validation images computed again", "18"),
        ("Largest difference of one number", "0.0002"),
        ("Smallest cosine", "0.999999"),
    )
    assert dict(facts.handoff)["Same first answer, assembled float32 model"] == "99.00%"
    assert facts.frozen[0][1] == "12"
    assert facts.frozen[-1] == ("Changed by training, all of them unfrozen", "3")


def test_an_older_run_takes_its_precision_from_the_manifest_and_has_no_drift(finished):
    run = finished.run
    handoff = {name: value for name, value in run.record["handoff"].items() if name != "features"}
    older = _without(finished, "features", "frozen_check")
    run = replace(older.run, record=older.run.record | {"handoff": handoff})
    facts = fidelity_facts(replace(older, runs=(run,)))
    assert facts.features == facts.frozen == ()
    assert dict(facts.precision)["Features computed by"] == "tensorflow, float32"


def test_nothing_is_said_without_a_hand_off(finished):
    assert fidelity_facts(_without(finished, "handoff")) is None
