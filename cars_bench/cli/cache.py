"""`cars-bench cache`: list, verify, export and delete feature caches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import size

if TYPE_CHECKING:
    from cars_bench.cache.matching import Match
    from cars_bench.cache.verify import Verification

_NAMED_FINDINGS = 5

group = typer.Typer(
    name="cache",
    help="Look after feature caches: ls, verify, export, rm.",
    rich_markup_mode=None,
)
app.add_typer(group)

KeyOption = Annotated[
    str | None,
    typer.Option("--cache", help="Key or its beginning [default: the last used]."),
]


@command(group, "ls", "cars-bench cache ls", "cars-bench cache ls --sheet")
def ls(
    session: Session,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also draw twelve images and their views as a PNG.")
    ] = False,
    cache: KeyOption = None,
) -> Document:
    """List the caches, and how each differs from the present settings."""
    from cars_bench.cache.matching import caches

    found = caches(session.workspace)
    for item in found:
        session.say(_line(item))
    if not found:
        session.say("no caches yet\nnext: cars-bench extract")
    document: Document = {"caches": [_row(item) for item in found]}
    if sheet:
        from cars_bench.cache.export import contact_sheet
        from cars_bench.cache.store import FeatureCache

        path = contact_sheet(session.workspace, FeatureCache.open(session.workspace, cache))
        session.say(f"Contact sheet: {path}")
        document["sheet"] = str(path)
    return document


@command(group, "verify", "cars-bench cache verify", "cars-bench cache verify --repair")
def verify(
    session: Session,
    cache: KeyOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every cache, not just one.")] = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Extract the damaged shards again, and only those.")
    ] = False,
) -> Document:
    """Read every byte of a cache again, and name what is not as written."""
    from cars_bench.cache.store import cache_keys, resolve_key
    from cars_bench.cache.verify import verify as run_verify
    from cars_bench.documents import to_json

    space = session.workspace
    keys = cache_keys(space) if every else [resolve_key(space, cache)]
    results = [run_verify(space.features / key, session.progress) for key in keys]
    for result in results:
        _say(session, result)
    damaged = [result for result in results if result.findings]
    if damaged and not mend:
        raise _corrupt(damaged)
    return {
        "caches": [to_json(result) for result in results],
        "repaired": [_repaired(session, result.key) for result in damaged],
    }


@command(
    group,
    "export",
    "cars-bench cache export features.npz",
    "cars-bench cache export features.h5 --format h5",
)
def export(
    session: Session,
    path: Annotated[Path, typer.Argument(help="File to write.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="npz or h5 [default: by the file's name].")
    ] = None,
    cache: KeyOption = None,
) -> Document:
    """Copy a cache into one file for other programs.

    It holds image ids, labels, views and features.
    """
    from cars_bench.cache.export import export as run_export
    from cars_bench.cache.store import FeatureCache

    opened = FeatureCache.open(session.workspace, cache)
    run_export(opened, path, kind or path.suffix.removeprefix(".") or "npz")
    session.say(f"Exported cache {opened.key} to {path} ({size(path.stat().st_size)}).")
    return {"key": opened.key, "path": str(path), "bytes": path.stat().st_size}


@command(group, "rm", "cars-bench cache rm 4f1c", "cars-bench cache rm --all")
def rm(
    session: Session,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys, or their beginnings.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every cache of the workspace.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
) -> Document:
    """Delete caches; extract can make them again.

    Studies can be read without them.
    """
    from cars_bench.cache.store import cache_keys, remove, resolve_key
    from cars_bench.errors import UsageError

    if bool(keys) == every:
        raise UsageError("Say which caches to delete.", "cars-bench cache rm KEY, or --all")
    space = session.workspace
    chosen = cache_keys(space) if every else [resolve_key(space, key) for key in keys or []]
    freed = 0
    for key in dict.fromkeys(chosen):
        freed += 0 if dry_run else remove(space, key)
        session.say(f"{'Would delete' if dry_run else 'Deleted'} cache {key}.")
    return {"removed": [] if dry_run else chosen, "would_remove": chosen, "bytes": freed}


def _row(item: Match) -> dict[str, Any]:
    from cars_bench.documents import to_json

    return to_json(item) | {"matches": item.matches}


def _line(item: Match) -> str:
    star = "*" if item.current else " "
    if item.state != "ready":
        return f"{star} {item.key}  {item.text}"
    return (
        f"{star} {item.key}  {item.dataset}  {item.backbone}  views {item.views}  "
        f"{item.records:,} records  {size(item.bytes)}  {item.text}"
    )


def _say(session: Session, result: Verification) -> None:
    for finding in result.findings:
        session.say(f"{result.key}: {finding}")
    if not result.findings:
        session.say(
            f"{result.key}: sound, {result.records:,} records in {result.shards} shards, "
            f"{size(result.bytes)}"
        )


def _corrupt(damaged: list[Verification]) -> Exception:
    from cars_bench.errors import CacheCorrupt

    found = [f"{result.key}/{item}" for result in damaged for item in result.findings]
    more = len(found) - _NAMED_FINDINGS
    text = "; ".join(found[:_NAMED_FINDINGS]) + (f"; and {more} more" if more > 0 else "")
    return CacheCorrupt(f"{text}.", "cars-bench cache verify --repair")


def _repaired(session: Session, key: str) -> dict[str, Any]:
    session.choose_backend("tensorflow")
    from cars_bench.cache.extract import repair
    from cars_bench.cache.verify import verify as run_verify

    result = repair(session.workspace, key, session.progress)
    left = run_verify(session.workspace.features / key, session.progress)
    if left.findings:
        raise _corrupt([left])
    session.say(f"{key}: mended, {result.written:,} records extracted again.")
    return {"key": key, "written": result.written}
