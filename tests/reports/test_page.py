from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from markupsafe import escape

from cars_bench.data.card import read_card, write_card
from cars_bench.reports.page import build_report, figures, tables
from tests.reports.workspaces import CLASSES, EVIL, STAGES, make_workspace


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])


@pytest.fixture(scope="module")
def pages(drawn):
    return {stage: build_report(drawn(stage)).read_text("utf-8") for stage in STAGES}


def test_the_same_study_gives_the_same_bytes(drawn, pages):
    assert build_report(drawn("finetuned")).read_text("utf-8") == pages["finetuned"]


def test_no_training_framework_is_loaded_for_a_report():
    code = "import sys, cars_bench.reports.page, cars_bench.reports.compare_page as _; "
    code += "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_place_of_the_workspace_does_not_show(tmp_path, pages):
    again = build_report(make_workspace(tmp_path / "elsewhere"))
    assert again.read_text("utf-8") == pages["finetuned"]


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_loaded_from_outside(pages, stage):
    for tag, attributes in _Page(pages[stage]).tags:
        for name in ("src", "srcset", "poster", "data", "action", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base")
    assert not re.search(r"url\((?!#|data:)|@import|\bfetch\(|XMLHttpRequest", pages[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_ids_are_unique(pages, stage):
    ids = _Page(pages[stage]).ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("stage", "commands"),
    [
        ("prepared", ["cars-bench extract", "cars-bench tune", "cars-bench finetune"]),
        ("extracted", ["cars-bench tune", "cars-bench finetune"]),
        ("tuned", ["cars-bench finetune"]),
    ],
)
def test_what_is_missing_names_the_command_that_makes_it(pages, stage, commands):
    absent = re.findall(r'class="absent">.*?<code>(.*?)</code>', pages[stage], re.DOTALL)
    assert all(any(text.startswith(command) for text in absent) for command in commands)


def test_every_figure_has_a_title_and_a_description(pages):
    figures = re.findall(r'<svg class="figure".*?</svg>', pages["finetuned"], re.DOTALL)
    assert len(figures) >= 6
    assert all("<title" in figure and "<desc" in figure for figure in figures)


def test_hostile_names_stay_text(tmp_path):
    workspace = make_workspace(tmp_path, classes=(EVIL, "=cmd()", *CLASSES[:4]), trials=3)
    page = build_report(workspace).read_text("utf-8")
    assert "<img src=x" not in page
    parsed = _Page(page)
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert sum(tag == "script" for tag, _ in parsed.tags) == 2


def test_report_json_holds_the_numbers_of_the_page(drawn, pages):
    folder = drawn("finetuned").reports / "drawn-tiny"
    document = json.loads((folder / "report.json").read_text("utf-8"))
    assert str(escape(document["verdict"]["headline"])) in pages["finetuned"]
    assert len(document["search"]["rows"]) == 34
    assert len(pd.read_csv(folder / "trials.csv")) == 34
    assert pd.read_csv(folder / "classes.csv")["test"].sum() == 30


def _part(page: str, begin: str, end: str) -> str:
    return page.split(begin, 1)[1].split(end, 1)[0]


def test_every_picture_names_its_file_and_where_it_lies(finished, pages):
    found = re.findall(r'<span class="file" data-path="([^"]+)">(.*?)</span>', pages["finetuned"])
    pictures = [(path, shown) for path, shown in found if not path.startswith("tuning/")]
    assert len(pictures) > 100
    for path, shown in pictures:
        image = finished.dataset.images[shown.replace("<wbr>", "")]
        assert finished.workspace.root / path == image.path
    alone = re.sub(r"<svg.*?</svg>", "", pages["finetuned"], flags=re.DOTALL)
    for part in ("gallery", "pairs", "near-duplicates", "suspects"):
        block = alone.split(f'<div id="{part}"')[1].split("<h3", 1)[0]
        assert block.count('class="file"') >= block.count("<img") // 2 > 0
        assert '<input type="search">' in block


def test_open_marks_are_validation_and_filled_ones_test_whatever_the_model(pages):
    tiles = _part(pages["finetuned"], '<div class="tiles">', '<p class="costs">')
    found = re.findall(r'aria-hidden="true">(.)</span> ([\w-]+)[^<]*, (\w+)</p>', tiles)
    assert set(found) == {
        ("●", "Fine-tuned", "test"),
        ("○", "Fine-tuned", "val"),
        ("●", "Frozen", "test"),
        ("○", "Frozen", "val"),
    }


def test_the_data_section_counts_the_images_set_aside_even_where_there_are_none(tmp_path, pages):
    assert "0 images set aside" not in pages["prepared"]
    workspace = make_workspace(tmp_path, "prepared")
    folder = workspace.datasets / "drawn"
    write_card(folder, replace(read_card(folder), quarantined=()))
    assert "0 images set aside." in build_report(workspace).read_text("utf-8")


def test_the_map_says_of_how_many_images_what_its_marks_mean_and_what_is_missing_without_scripts(
    pages,
):
    cache = _part(pages["finetuned"], '<section id="cache"', "</section>")
    assert "30 of 30 test images" in _part(cache, "<noscript>", "</noscript>")
    assert 'aria-label="Map of 30 of 30 test images;' in cache
    assert "named right by the fine-tuned model" in cache
    assert "named wrong" in cache
    assert "named wrong" not in _part(pages["tuned"], '<section id="cache"', "</section>")


def test_the_fine_tuning_table_marks_the_split_as_the_verdict_does(pages):
    table = _part(pages["finetuned"], 'class="accuracies"', "</table>")
    found = re.findall(r'<th scope="row">(.) [^<]*</th><td>(\w+)</td>', table)
    assert set(found) == {("○", "val"), ("●", "test")}


def test_every_figure_has_its_numbers_beneath(report):
    assert set(figures(report)) == set(tables(report))


def test_rows_are_as_wide_as_their_headings(report):
    for table in tables(report).values():
        assert {len(row) for row in table.rows} == {len(table.headings)}
