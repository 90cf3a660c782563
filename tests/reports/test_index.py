from __future__ import annotations

import html
import re

from cars_bench.atomic import write_json, write_text
from cars_bench.reports.index import entries, write_index
from cars_bench.reports.page import build_report
from tests.reports.workspaces import make_workspace


def test_every_report_is_listed_with_its_verdict(tmp_path):
    workspace = make_workspace(tmp_path, trials=3)
    build_report(workspace)
    (entry,) = entries(workspace.reports, "report")
    assert (entry.title, entry.href) == ("drawn-tiny", "drawn-tiny/report.html")
    assert [(item.label, item.split) for item in entry.accuracies] == [
        ("Fine-tuned model", "test"), ("Frozen t0001", "test"),
        ("Fine-tuned model", "val"), ("Frozen t0001", "val"),
    ]  # fmt: skip
    page = (workspace.reports / "index.html").read_text("utf-8")
    assert 'href="drawn-tiny/report.html"' in page
    assert entry.headline in html.unescape(page)


def test_a_report_whose_numbers_are_damaged_is_listed_by_its_name(tmp_path):
    workspace = make_workspace(tmp_path, "prepared")
    for name in ("b & <c>", "a"):
        write_text(workspace.reports / name / "report.html", "")
    write_text(workspace.reports / "a" / "report.json", "{")
    page = write_index(workspace).read_text("utf-8")
    assert re.findall(r'<a href="(.*?/report.html)">(.*?)</a>', page) == [
        ("a/report.html", "a"), ("b%20%26%20%3Cc%3E/report.html", "b &amp; &lt;c&gt;"),
    ]  # fmt: skip


def test_the_same_reports_give_the_same_index(tmp_path):
    workspace = make_workspace(tmp_path, "prepared")
    write_json(workspace.reports / "a" / "report.json", {"title": "a"})
    write_text(workspace.reports / "a" / "report.html", "")
    assert write_index(workspace).read_bytes() == write_index(workspace).read_bytes()


def test_without_reports_it_names_the_command(tmp_path):
    page = write_index(make_workspace(tmp_path, "prepared")).read_text("utf-8")
    assert "<code>cars-bench report</code>" in page
