"""What the page says of the finished model, read from the page itself."""

from __future__ import annotations

import re
from html import unescape

import pytest

from cars_bench.reports.facts import gather
from cars_bench.reports.mistakes import mistake_facts
from cars_bench.reports.page import MODULES, page_context
from cars_bench.reports.render import render


@pytest.fixture(scope="module")
def page(finished):
    return render("report.html.j2", MODULES, **page_context(gather(finished), finished))


@pytest.fixture(scope="module")
def section(page):
    def words(name):
        part = page.split(f'<section id="{name}"')[1].split("</section>")[0]
        part = re.sub(r"<svg.*?</svg>", " ", part, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split())

    return words


def test_calibration_says_its_direction_for_both_models(section):
    said = section("errors")
    for model in ("frozen", "fine-tuned"):
        assert re.search(rf"The {model} model is \S+[^:]*: it says \d+% on average", said)


def test_the_gallery_counts_its_errors_and_says_where_the_truth_is_not_among_five(
    finished, page, section
):
    facts = mistake_facts(finished)
    said = section("errors")
    assert f"The most confident errors ({len(facts.worst)} of {facts.wrong})" in said
    tiles = re.findall(r"<li data-number.*?</li>", page.split('id="gallery"')[1], re.DOTALL)
    assert all("for the truth" in t or "not in its top 5" in t for t in tiles[: len(facts.worst)])


def test_without_scripts_a_sentence_stands_for_the_matrix_and_the_table_stays(page):
    before, after = page.split('<div id="confusion"')
    assert "<noscript>" in before.split("Confusion by make")[1]
    assert '<details class="numbers"><summary>The wrong cells' in after


def test_weak_groups_have_column_headings(section):
    assert "By make, worst first Make Right 95% interval Images" in section("errors")


def test_what_fine_tuning_changed_has_a_heading_of_its_own_before_the_ranks(section):
    said = section("finetune")
    assert said.index("What fine-tuning changed") < said.index("McNemar")
    assert said.index("McNemar") < said.index("Does the rank on the cache")


def test_fidelity_tells_the_hand_off_from_what_came_after_training(section):
    said = section("fidelity")
    assert "in two parts" in said
    assert said.index("After training") < said.index("Changed by training")
