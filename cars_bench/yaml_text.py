"""YAML as plain values, in bounded time and memory, and where in the text each field stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import yaml

from cars_bench.errors import UsageError

DAMAGE = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    RecursionError,
)
"""What PyYAML raises for text that is not YAML, or whose `!!tags` do not fit their values."""
TAG = "tag:yaml.org,2002:"
KEYS = ("str", "merge")
PLAIN = (*KEYS, "map", "seq", "int", "float", "bool", "null")
"""What JSON has too: no dates, sets or bytes."""
MOST_CHARACTERS = 200_000
MOST_VALUES = 20_000
DEEPEST = 40
LONGEST_NUMBER = 100
"""Characters; a longer one takes its time to read and cannot be printed."""


@dataclass(frozen=True)
class YamlText:
    """A YAML mapping, and where in its text each field stands.

    Attributes:
        source: Name of the file, for messages.
        value: The mapping.
        lines: Line, from 1, of each field by the names of the fields down to it.
    """

    source: str
    value: dict[str, Any]
    lines: dict[tuple[str, ...], int]

    def error(self, place: tuple[str, ...], problem: str, fix: str) -> UsageError:
        """One sentence that names file and line; `problem` names the field."""
        known = (place[:depth] for depth in range(len(place), 0, -1) if place[:depth] in self.lines)
        line = next((f" line {self.lines[found]}" for found in known), "")
        return UsageError(f"{self.source}{line}: {problem.rstrip('.')}.", fix)


def parse_yaml(text: str, source: str) -> YamlText:
    """Read a YAML mapping; nothing but plain values is made of it.

    Raises:
        UsageError: It is not YAML, not a mapping, has a field twice, or is too large once
            its aliases are written out; names the line.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{source} has over {MOST_CHARACTERS:,} characters.", "shorten it")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise UsageError(f"{source} line 1 must be `field: value` lines.", "mend the file")
        _check(root, {})
        found = YamlText(source, {}, {})
        _note_lines(root, (), found, set())
        return replace(found, value=loader.construct_document(root))
    except DAMAGE as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error) or type(error).__name__
        problem = said.splitlines()[0].rstrip(".")
        raise UsageError(f"{source}{line} is not YAML: {problem}.", "mend the syntax") from error


def _check(node: yaml.Node, known: dict[yaml.Node, tuple[int, int]]) -> tuple[int, int]:
    """Values at and below a node and how deep they lie, with its aliases written out.

    Raises:
        yaml.MarkedYAMLError: They are too many or too deep, or one is no plain value.
    """
    if node in known:
        return known[node]
    known[node] = (MOST_VALUES, DEEPEST)  # until it is known: a node may lie within itself
    below = [_check(part, known) for part in _parts(node)]
    values = 1 + sum(count for count, _ in below)
    depth = 1 + max((deep for _, deep in below), default=0)
    kind = node.tag.removeprefix(TAG)
    if values > MOST_VALUES or depth > DEEPEST:
        raise _refused(node, "written out it holds too much, or lies too deep")
    if kind not in PLAIN:
        raise _refused(node, f"{kind} is no plain value, write it in quotes")
    if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
        raise _refused(node, f"a number has {len(node.value):,} characters")
    known[node] = (values, depth)
    return known[node]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """What a node holds: items, or keys and values; nothing of a scalar."""
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    for key, _ in node.value:
        if key.tag.removeprefix(TAG) not in KEYS:
            raise _refused(key, "a field's name is no text, write it in quotes")
    return [part for pair in node.value for part in pair]


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _note_lines(
    node: yaml.Node, place: tuple[str, ...], found: YamlText, noted: set[yaml.Node]
) -> None:
    """Note where the fields below a node stand; once, whatever repeats it by an alias."""
    if node in noted:
        return
    noted.add(node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*place, str(index))
            found.lines[here] = item.start_mark.line + 1
            _note_lines(item, here, found, noted)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, key.value)
            if here in found.lines:
                problem = f"{here[-1]} stands there twice"
                found.lines[here] = key.start_mark.line + 1
                raise found.error(here, problem, "keep one of them")
            found.lines[here] = key.start_mark.line + 1
            _note_lines(value, here, found, noted)
