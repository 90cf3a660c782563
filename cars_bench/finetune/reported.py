"""Whether a report says what its study holds now: told by what was written, never by a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cars_bench.checksums import checksum, read_json
from cars_bench.documents import from_json
from cars_bench.errors import UsageError
from cars_bench.finetune.runs import run_records
from cars_bench.tuning.stored_head import WINNER
from cars_bench.workspace import sha256_file

TOLD = (".csv", ".json", ".jsonl")
"""Suffixes of what a report reads of its study, its winner and its finished runs."""


@dataclass(frozen=True)
class Reported:
    """What `report.json` keeps of the study that it was made of.

    Attributes:
        study_digest: `study_digest` of its folder.
    """

    study_digest: str


def study_digest(study: Path) -> str:
    """Digest of all that a report reads in a study's folder; empty where there is nothing."""
    found = {path.relative_to(study).as_posix(): sha256_file(path) for path in _told(study)}
    return checksum(found) if found else ""


def is_reported(study: Path, report: Path) -> bool:
    """Whether a `report.json` was made of a study's folder as it is now."""
    try:
        made = from_json(Reported, read_json(report), partly=True)
        return made.study_digest == study_digest(study)
    except (OSError, ValueError, UsageError):  # missing, damaged, or made before this was kept
        return False


def _told(study: Path) -> Iterator[Path]:
    for folder in (study, study / WINNER, *(path.parent for path in run_records(study))):
        yield from (path for path in folder.glob("[!.]*") if path.suffix in TOLD and path.is_file())
