"""One record, one owner: no stage opens another stage's files.  Found by reading the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cars_bench"


@dataclass(frozen=True)
class Document:
    """A document on disk.

    Attributes:
        owner: The one module that reads and writes it.
        constant: Holds its name there; empty where it is put together.
        named_by: Other modules that name it, and why; none of them opens it.
    """

    owner: str
    constant: str = ""
    named_by: dict[str, str] = field(default_factory=dict)


MARK = "tests for and removes the mark that its own folder is done"
SHOWN = "hands the file as it is to a tracker, or says how large it is"
PLACE = "says where in a run's folder it lies; the owner reads and writes it"

DOCUMENTS = {
    "card.json": Document(
        "data/card.py", "CARD_FILE", {"data/dataset.py": MARK, "data/prepare.py": MARK}
    ),
    "manifest.json": Document(
        "cache/manifest.py",
        "MANIFEST_FILE",
        {
            "cache/extract.py": MARK,
            "cache/store.py": MARK,
            "cache/verify.py": "names it in what it found",
        },
    ),
    "study.json": Document("tuning/study.py", "STUDY_FILE"),
    "ledger.jsonl": Document("tuning/study.py", "LEDGER_FILE"),  # tuning/ledger.py takes the path
    "winner.json": Document("tuning/stored_head.py", "RECORD_FILE", {"tracking/rows.py": SHOWN}),
    "witness.npz": Document("tuning/trained_head.py", "WITNESS_FILE"),
    "checkpoint.npz": Document(
        "training/checkpoint.py",
        "CHECKPOINT_FILE",
        {"finetune/run.py": PLACE, "tracking/rows.py": PLACE},
    ),
    "history.csv": Document(
        "training/checkpoint.py",
        "HISTORY_FILE",
        {"finetune/artifacts.py": PLACE, "finetune/runs.py": PLACE, "tracking/rows.py": SHOWN},
    ),
    "plan.json": Document("finetune/plan.py", "PLAN_FILE"),
    "run.json": Document("finetune/runs.py", "RUN_FILE"),
    "heatmaps.json": Document("finetune/heatmaps.py", "HEATMAPS_FILE"),
    "fidelity.json": Document("finetune/cache_fidelity_record.py", "FIDELITY_FILE"),
    "predictions-": Document("evaluation/predictions.py"),
    "-top": Document("finetune/ranked_heads.py"),  # final-topN.json
}

PARSERS = {
    "checksums.py": "reads every document on disk",
    "cli/demo.py": "what its stages print, each a process of its own",
    "data/mat_labels.py": "what its reader of .mat files says, a process of its own",
    "data/policies.py": "a policy is canonical JSON inside recipes and plans",
    "detectors/detectron2.py": "answers of detectron2's worker, one a line",
    "detectors/detectron2_worker.py": "the question to detectron2's worker, its first frame",
    "training/checkpoint.py": "owns checkpoints, whose description is JSON inside an .npz",
    "tuning/study.py": "compares a search's options in the form that they are stored in",
    "tuning/worker_process.py": "messages of the pool to its workers, one a line",
    "tuning/worker_pool.py": "messages of the workers to their pool, one a line",
}

RECORDS = {"card", "document", "event", "manifest", "plan", "record", "run", "study", "winner"}
"""What a document is called where it is read."""

READERS = {
    "cli/evaluate.py": "prints the document that `evaluate` has just made; it is not on disk",
    "cli/session.py": "prints the document that `evaluate` or `finetune` has just made",
    "experiments/stages.py": "is handed the document that `evaluate` has just made",
    "results/evaluation.py": "shows the document that `evaluate` has just made",
    "tuning/ledger.py": "owns ledger.jsonl",
}

MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_only_its_owner_holds_the_name_of_a_document(name: str) -> None:
    holders = {module for module, tree in MODULES.items() if _spells(tree, name)}
    assert holders == {DOCUMENTS[name].owner}


@pytest.mark.parametrize("name", [name for name, item in DOCUMENTS.items() if item.constant])
def test_the_constant_of_a_name_is_known_to_few(name: str) -> None:
    document = DOCUMENTS[name]
    importers = {
        module
        for module, tree in MODULES.items()
        if document.constant in _imported(tree, document.owner)
    }
    assert importers == set(document.named_by)


def test_few_modules_parse_json() -> None:
    assert {module for module, tree in MODULES.items() if _parses_json(tree)} == set(PARSERS)


def test_only_owners_reach_into_documents_by_key() -> None:
    found = {module: reads for module, tree in MODULES.items() if (reads := list(_reads(tree)))}
    assert {module: reads for module, reads in found.items() if module not in READERS} == {}
    assert set(READERS) <= set(found)


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ('"""Reads run.json."""\npath = folder / "run.json"', True),
        ('"""Reads run.json."""\n"""About run.json."""', False),
        ('for path in folder.glob(f"final/*/run.json"): pass', True),
        ("folder / NAME", False),
    ],
)
def test_a_name_is_seen_in_code_and_not_in_docstrings(code: str, seen: bool) -> None:
    assert _spells(ast.parse(code), "run.json") is seen


def test_a_read_by_key_is_seen() -> None:
    tree = ast.parse('document["a"]["b"], self.record["c"], row["d"], document[name]')
    assert sorted(_reads(tree)) == ["document['a']", "self.record['c']"]
    assert list(_reads(ast.parse('document["a"] = 1'))) == []


def test_json_is_seen_however_it_is_imported() -> None:
    assert _parses_json(ast.parse("json.loads(text)"))
    assert _parses_json(ast.parse("from json import load"))
    assert not _parses_json(ast.parse("json.dumps(data)"))


def _spells(tree: ast.Module, name: str) -> bool:
    """Whether a string that is no docstring holds the name as a file's or its beginning."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    pattern = re.compile(rf"(^|[\s/(]|(?<=\w)(?=-)){re.escape(name)}")
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and pattern.search(node.value) is not None
        for node in ast.walk(tree)
    )


def _imported(tree: ast.Module, owner: str) -> set[str]:
    """Names that a module imports from the owner."""
    module = "cars_bench." + owner.removesuffix(".py").replace("/", ".")
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def _parses_json(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.ImportFrom) and node.module == "json")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.load", "json.loads"))
        for node in ast.walk(tree)
    )


def _reads(tree: ast.Module) -> Iterator[str]:
    """Reads of a document by a constant key."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Load):
            continue
        base = node.value
        called = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if called in RECORDS and isinstance(key, str):
            yield ast.unparse(node)
