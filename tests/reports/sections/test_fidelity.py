from __future__ import annotations

from dataclasses import replace

from cars_bench.reports.sections.fidelity import facts


def _without(finished, *names):
    record = {name: value for name, value in finished.run.record.items() if name not in names}
    return replace(finished, runs=(replace(finished.run, record=record),))


def test_features_and_hand_off_say_by_how_much(finished):
    found = facts(finished)
    assert found is not None
    assert found.features == (
        ("Validation images computed again", "18"),
        ("Largest difference of one number", "0.0002"),
        ("Smallest cosine", "0.999999"),
    )
    assert dict(found.handoff)["Same first answer, assembled float32 model"] == "99.00%"
    assert found.frozen[0][1] == "12"
    assert found.frozen[-1] == ("Changed by training, all of them unfrozen", "3")


def test_an_older_run_takes_its_precision_from_the_manifest_and_has_no_drift(finished):
    run = finished.run
    handoff = {name: value for name, value in run.record["handoff"].items() if name != "features"}
    older = _without(finished, "features", "frozen_check")
    run = replace(older.run, record=older.run.record | {"handoff": handoff})
    found = facts(replace(older, runs=(run,)))
    assert found.features == found.frozen == ()
    assert dict(found.precision)["Features computed by"] == "tensorflow, float32"


def test_nothing_is_said_without_a_hand_off(finished):
    assert facts(_without(finished, "handoff")) is None


def test_fidelity_tells_the_hand_off_from_what_came_after_training(section):
    said = section("fidelity")
    assert "in two parts" in said
    assert said.index("After training") < said.index("Changed by training")
