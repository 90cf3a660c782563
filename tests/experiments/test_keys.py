"""The README of the experiments lists every key of a config as the dataclasses have it."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.keys import PARTS, keys_text

README = Path(__file__).parents[2] / "experiments" / "README.md"


def test_the_readme_lists_every_key_with_type_default_and_meaning():
    told = README.read_text().partition("## Every key of `config.yml`\n")[2]
    lines = set(told.splitlines())
    lacking = [line for line in keys_text().splitlines() if line not in lines]
    assert not lacking, "put what `python -m tests.experiments.keys` prints into the README"
    keys = [line for line in lines if line.startswith("| `")]
    assert len(keys) == sum(line.startswith("| `") for line in set(keys_text().splitlines()))


def test_every_part_has_its_table():
    assert keys_text().count("| key | type | default | meaning |") == len(PARTS)
