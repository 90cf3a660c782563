"""All keys of a `config.yml` as the README lists them: `python -m tests.experiments.keys`.

The types, the defaults and the meanings are those of the dataclasses.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from cars_bench.experiments.config import (
    Attempt,
    Config,
    Data,
    Expected,
    Features,
    Finish,
    Published,
)
from cars_bench.finetune.recipe import EarlyEpochs, Recipe

PARTS = {
    "Top of the file": Config,
    "`data:`": Data,
    "`features:`": Features,
    "An attempt": Attempt,
    "`finetune:`": Finish,
    "A recipe that stands in `finetune:`": Recipe,
    "`early:` of a recipe": EarlyEpochs,
    "A published score": Published,
    "`expected:`": Expected,
}
WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Policy": "policy",
    "Recipe": "recipe",
    "Data": "as `data:`",
    "Features": "as `features:`",
    "Finish": "as `finetune:`",
    "EarlyEpochs": "as `early:`",
    "Expected": "as `expected:`",
    "TrainingSpec": "training",
    "dict[str, Any]": "mapping",
    "tuple[str, ...]": "list of texts",
    "tuple[Published, ...]": "list of published scores",
    "tuple[Attempt, ...]": "list of attempts",
}


def keys_text() -> str:
    """A heading and a table for each part of a config."""
    return "\n\n".join(f"### {title}\n\n{_table(kind)}" for title, kind in PARTS.items())


def _table(kind: type[Any]) -> str:
    meanings = _meanings(kind)
    rows = [
        f"| `{item.name}` | {_type(str(item.type))} | {_default(item)} | {meanings[item.name]} |"
        for item in dataclasses.fields(kind)
    ]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _type(hint: str) -> str:
    kinds = [item for item in re.split(r" \| ", hint) if item != "None"]
    return " or ".join(map(_word, kinds))


def _word(kind: str) -> str:
    if kind.startswith("Literal["):
        return " or ".join(f"`{item}`" for item in re.findall(r"'(\w+)'", kind))
    return WORDS[kind]


def _default(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return "required" if item.default_factory is dataclasses.MISSING else ""
    if isinstance(item.default, bool):
        return f"`{str(item.default).lower()}`"
    return f"`{item.default}`" if isinstance(item.default, str | int) and item.default != "" else ""


def _meanings(kind: type[Any]) -> dict[str, str]:
    told = inspect.getdoc(kind).partition("Attributes:\n")[2].split("\n\n")[0]
    joined = re.sub(r"\n {8,}", " ", told)
    pairs = (line.strip().split(": ", 1) for line in joined.splitlines())
    return {name: meaning.replace("|", "\\|") for name, meaning in pairs}


if __name__ == "__main__":
    print(keys_text())
