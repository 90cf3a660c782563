from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.cache_fidelity_record import write_fidelity
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections import cache_fidelity, verdict
from cars_bench.tuning.study import Study
from tests.finetune.test_cache_fidelity_record import FOUND
from tests.reports.pages import page_of
from tests.reports.workspaces import make_workspace


def test_nothing_is_said_before_the_heads_are_finished(finished):
    assert cache_fidelity.facts(finished) is None
    begun = replace(FOUND, tau=None, tied_tau=None, regret=None, views=(), complete=False)
    assert cache_fidelity.facts(replace(finished, cache_fidelity=begun)) is None
    assert verdict.facts(replace(finished, cache_fidelity=begun)).choice == ""


def test_heads_and_views_are_told_with_their_numbers(finished):
    found = cache_fidelity.facts(replace(finished, cache_fidelity=FOUND))
    assert found is not None
    assert [head.kind for head in found.heads] == ["winner", "tied", "other"]
    assert "Kendall&#x27;s tau 0.33" in cache_fidelity.figure(found)["cache_fidelity"]
    tables = cache_fidelity.table(found)
    assert tables["cache_fidelity"].rows[0] == (
        "★ t1", "the winner", "1", "60.00%", "72.00%", "70.00%", "74.00%",
    )  # fmt: skip
    assert tables["cache_fidelity_views"].rows[0][0] == "1 cached view"


@pytest.mark.parametrize(
    ("tau", "any_will_do"), [(Estimate(0.2, -0.5, 0.9), True), (Estimate(0.9, 0.3, 1.0), False)]
)
def test_the_verdict_says_whether_any_head_will_do(finished, tau, any_will_do):
    record = replace(FOUND, tied_tau=tau)
    said = verdict.facts(replace(finished, cache_fidelity=record)).choice
    assert ("Any of these heads will do" in said) is any_will_do


def test_the_page_has_a_section_of_its_own_beside_the_fidelity_of_the_hand_off(finished):
    page = page_of(replace(finished, cache_fidelity=FOUND))
    assert page.count('id="cache-fidelity"') == page.count('id="fidelity"') == 1
    assert page.count("Any of these heads will do") == 2  # in the verdict and in the section
    assert "Trusting the cache costs 4.0 points" in page
    assert "What cached views cost against live ones" in page


def test_a_page_without_it_names_the_command(finished):
    assert "<code>cars-bench fidelity</code>" in page_of(finished)


def test_the_record_of_the_study_is_read(tmp_path):
    workspace = make_workspace(tmp_path, "tuned", trials=2)
    write_fidelity(Study.open(workspace), FOUND)
    assert read_inputs(workspace).cache_fidelity == FOUND
