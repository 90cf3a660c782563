"""What every command shares: the common options, one JSON document, exit codes.

A command is a plain function whose first argument is a `Session`; it prints
for people through `session.say` and returns the JSON document for scripts.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import inspect
import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from cars_bench import SCHEMA_VERSION
from cars_bench.errors import CarsBenchError, InputError
from cars_bench.interrupts import INTERRUPTED, Remembered, interrupts_remembered
from cars_bench.progress import accuracy

if TYPE_CHECKING:
    from cars_bench.progress import Progress
    from cars_bench.workspace import Workspace

Document = dict[str, Any]
READER_GONE = 128 + 13
"""Exit code where the reader of the output went away (`| head -1`): that of SIGPIPE."""

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="Folder with cache/, tuning/ and reports/ [default: $CARS_BENCH_WORKSPACE or .].",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
TrackOption = Annotated[
    str | None,
    typer.Option(
        metavar="TRACKER[:WHERE]",
        help="Show it in tensorboard[:FOLDER] or mlflow[:ADDRESS or FOLDER].",
        show_default=False,
    ),
]

HERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
"""What is wrong with the place and not with the name."""
MOST_NAME = 120
"""Characters of a name that cannot be one that a message shows."""

COMMON = {
    "workspace": (WorkspaceOption, None),
    "json_output": (JsonOption, False),
    "quiet": (QuietOption, False),
    "debug": (DebugOption, False),
}


@dataclass(frozen=True)
class Session:
    """One run of one command: its workspace, its voice and how it fails.

    Attributes:
        workspace: Where the command reads and writes.
        json_output: Only one JSON document may reach stdout.
        quiet: No progress on stderr.
        debug: Errors come with their traceback.
        workspace_named: The workspace was named, by option or by variable.
    """

    workspace: Workspace
    json_output: bool = False
    quiet: bool = False
    debug: bool = False
    _: KW_ONLY
    workspace_named: bool = False

    @property
    def progress(self) -> Progress:
        """A bar on a terminal, plain lines elsewhere, nothing when quiet."""
        from cars_bench.progress import for_stream

        return for_stream(self.quiet)

    def say(self, text: str = "", hang: int = 2) -> None:
        """Print a result for a person; silent under `--json`.

        Args:
            text: One line or more; on a terminal a long one is folded between words.
            hang: Columns by which what goes on is indented.
        """
        if not self.json_output:
            print(_fitted(text, sys.stdout, hang), flush=True)

    def suggest(self, package: str, gain: str) -> None:
        """Say, if a package is not installed, what it would gain; not under `--json` or `-q`."""
        if not self.json_output and importlib.util.find_spec(package) is None:
            self.progress.log(f"Tip: {gain}: pip install 'cars-bench[all]'")

    def choose_backend(self, *preferred: str) -> str:
        """Set KERAS_BACKEND, before keras is imported, to the user's choice or the first installed.

        Returns:
            The backend in force.

        Raises:
            UsageError: KERAS_BACKEND names one that is not there.
        """
        from cars_bench.keras_backend import choose_backend

        return choose_backend(self.progress, *preferred)

    def run(self, body: Callable[[], Document]) -> int:
        """Run a command's body and report what became of it.

        Returns:
            The exit code.
        """
        with interrupts_remembered() as interrupt:
            try:
                document = self._quietly(body)
                interrupt.tell()
                if self.json_output:
                    print_json(document)
            except KeyboardInterrupt:
                return self._failed(INTERRUPTED, interrupt)
            except CarsBenchError as error:
                return self._failed(error, interrupt)
            except BrokenPipeError:
                return READER_GONE  # as a shell says it of a Unix tool: quietly
            except Exception as error:
                said = INTERRUPTED if interrupt.pressed else _plain(error)
                return self._failed(said, interrupt)
        return 0

    def _quietly(self, body: Callable[[], Document]) -> Document:
        """Run the body; under `--json` what a library prints goes to stderr, not stdout."""
        if not self.json_output:
            return body()
        with contextlib.redirect_stdout(sys.stderr):
            return body()

    def _failed(self, error: CarsBenchError, interrupt: Remembered) -> int:
        interrupt.tell()
        if self.debug:
            traceback.print_exc()
        report_error(error, self.json_output)
        return error.code


def report_error(error: CarsBenchError, json_output: bool) -> None:
    """Say an error: one JSON document on stdout, or two lines on stderr."""
    if json_output:
        print_json({"error": {"code": error.code, "message": error.message, "fix": error.fix}})
        return
    lines = [f"error: {error.message}", *([f"  fix: {error.fix}"] if error.fix else [])]
    print(_fitted("\n".join(lines), sys.stderr), file=sys.stderr)


def _fitted(text: str, stream: TextIO, hang: int = 2) -> str:
    """The text without controls, folded to a terminal."""
    from cars_bench.progress import folded, printable

    if not stream.isatty():
        return printable(text)
    return folded(printable(text), shutil.get_terminal_size().columns, hang)


def print_json(document: Document) -> None:
    """Print one strict JSON document with its schema version."""
    print(json.dumps({"schema_version": SCHEMA_VERSION} | document, allow_nan=False), flush=True)


def command(
    app: typer.Typer, name: str, *examples: str
) -> Callable[[Callable[..., Document]], Callable[..., Document]]:
    """Register a function as a command with the common options and its examples.

    The function's signature is `(session, **its own options) -> Document`;
    its docstring is the help text.
    """

    def register(function: Callable[..., Document]) -> Callable[..., Document]:
        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in COMMON.items()
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        def run(**values: Any) -> None:
            shared = {key: values.pop(key) for key in COMMON}
            session = _session(**shared)
            raise typer.Exit(session.run(lambda: function(session, **values)))

        run.__signature__ = signature.replace(parameters=own + common)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in own + common}
        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)
        app.command(name, help=inspect.getdoc(function), epilog=epilog)(run)
        return function

    return register


def _session(workspace: Path | None, json_output: bool, quiet: bool, debug: bool) -> Session:
    from cars_bench.workspace import WORKSPACE_VARIABLE, Workspace

    named = workspace is not None or bool(os.environ.get(WORKSPACE_VARIABLE))
    return Session(Workspace.locate(workspace), json_output, quiet, debug, workspace_named=named)


def _plain(error: Exception) -> CarsBenchError:
    """An unforeseen error in one sentence, with what mends it."""
    if isinstance(error, OSError):
        return _plain_os_error(error)
    return CarsBenchError(f"{type(error).__name__}: {error}", "run again with --debug")


def _plain_os_error(error: OSError) -> CarsBenchError:
    where = f": {error.filename}" if error.filename else ""
    number = error.errno or _told_by_hdf5(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"The disk is full{where}.", "free some space, then run it again")
    if number == errno.EFBIG:
        return InputError(
            f"A file may not become as large as this one has to{where}.",
            "raise the limit (ulimit -f), or choose a --workspace on another file system",
        )
    if number in (errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ):
        return InputError(
            f"This cannot be a file's name ({error.strerror}{where[:MOST_NAME]}).",
            "name a file that can be opened",
        )
    if number in HERE:
        return InputError(
            f"Cannot read or write here ({error.strerror}{where}).",
            "mend the permissions, or choose another --workspace",
        )
    return CarsBenchError(f"{error.strerror or error}{where}.", "run again with --debug")


def _told_by_hdf5(error: OSError) -> int | None:
    """The number of the system's error in the text of one of HDF5's, which has no other."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def points(share: float) -> str:
    """A difference of shares in percentage points: `2.1 points`; never `-0.0`."""
    return f"{round(100 * share, 1) + 0.0:.1f} points"


def score_lines(document: Document) -> list[str]:
    """Scores as a person reads them, one line a stage and split, with 95% intervals.

    Args:
        document: `frozen`, `finetuned` and `boxes` by split, and `stages`: their names.
    """
    return [
        f"{said:10} {split:4} "
        + "  ".join(
            f"{name.replace('top', 'top-')} "
            + accuracy(found["value"], found["low"], found["high"])
            for name, found in scores.items()
            if name != "n"
        )
        + f"  n {scores['n']:,}"
        for stage, said in document["stages"].items()
        for split, scores in document[stage].items()
    ] + _box_lines(document)


def _box_lines(document: Document) -> list[str]:
    """How good the boxes are, where the head tells any."""
    return [
        f"{said:10} {split:4} mean IoU {accuracy_of(found['mean_iou'])}  "
        f"above 0.5 {accuracy_of(found['above_50'])}  above 0.75 "
        f"{accuracy_of(found['above_75'])}  n {found['n']:,}"
        for stage, said in document["stages"].items()
        for split, found in document.get("boxes", {}).get(stage, {}).items()
    ]


def accuracy_of(estimate: Document) -> str:
    """A share with its interval."""
    return accuracy(estimate["value"], estimate["low"], estimate["high"])
