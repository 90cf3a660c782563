"""`cars-bench prepare`: what it prints and how it fails."""

from __future__ import annotations

import json

import pytest

from cars_bench.cli.prepare import prepare
from cars_bench.cli.session import Session


def invoke(session: Session, **options) -> int:
    return session.run(lambda: prepare(session, **options))


def test_it_tells_counts_split_and_sizes(workspace, tiny_source, capsys):
    assert invoke(Session(workspace, quiet=True), source=tiny_source, name="tiny") == 0
    printed = capsys.readouterr().out
    assert "tiny: 60 images of 4 classes (15 a class)" in printed
    assert "split: 36 train, 12 val, 12 test" in printed
    assert "sizes: all 48 x 48 pixels" in printed
    assert "next: cars-bench extract" in printed


def test_json_is_one_document(workspace, tiny_source, capsys):
    session = Session(workspace, json_output=True, quiet=True)
    assert invoke(session, source=tiny_source) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["images"], document["classes"]) == (1, 60, 4)


def test_quarantined_images_are_printed(workspace, tiny_source, tmp_path, capsys):
    import shutil

    source = shutil.copytree(tiny_source, tmp_path / "source")
    (source / "images" / "001.png").write_bytes(b"")
    assert invoke(Session(workspace, quiet=True), source=source) == 0
    printed = capsys.readouterr().out
    assert "quarantined: 1 image that" in printed
    assert "001.png: the file is empty" in printed


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labels.csv", b"", "is empty"),
        ("labels.csv", b"img_file,kind\n1.jpg,A\n", "plainly the path and the class"),
        ("cars_annos.mat", b"MATLAB 5.0" + bytes(200), "corrupt"),
        ("labels.txt", b"1.jpg A", "neither a CSV nor a .mat"),
    ],
)
def test_unusable_labels_exit_three_with_one_sentence(
    workspace, tmp_path, capsys, name, content, words
):
    path = tmp_path / name
    path.write_bytes(content)
    assert invoke(Session(workspace, quiet=True), source=path) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert "Traceback" not in printed.err


def test_an_unwritable_workspace_exits_three(workspace, tiny_source, capsys):
    workspace.root.write_text("a file")
    assert invoke(Session(workspace, quiet=True), source=tiny_source) == 3
    assert "Cannot write to" in capsys.readouterr().err
