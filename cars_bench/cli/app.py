"""The `cars-bench` program: one file per command, gathered here."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer

from cars_bench import __version__
from cars_bench.cli.session import READER_GONE, report_error
from cars_bench.errors import CarsBenchError, Interrupted, UsageError

# In the order of the way; each is a module beside this one that registers its command(s).
COMMANDS = (
    "prepare",
    "extract",
    "cache",
    "check",
    "probe",
    "tune",
    "trials",
    "finetune",
    "fidelity",
    "run",
    "evaluate",
    "predict",
    "export",
    "report",
    "demo",
    "status",
)

app = typer.Typer(
    name="cars-bench",
    help=(
        "Ask a hundred architecture questions of a frozen backbone for the price of one pass "
        "over the images.\n\nprepare -> extract -> tune -> finetune -> report"
    ),
    rich_markup_mode=None,  # help texts are plain: "[default: ...]" is not markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cars-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options that stand before the command; the help text is the program's own."""


for _name in COMMANDS:
    importlib.import_module(f"cars_bench.cli.{_name}")


def main() -> None:
    """Run the program and exit with DESIGN's codes; usage errors honour `--json` too.

    Where the reader of the output has gone (`| head -1`) it ends quietly.
    """
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        code = READER_GONE
        if not isinstance(error, BrokenPipeError):
            print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)
            code = CarsBenchError.code
        # Whatever is still buffered goes nowhere, or Python complains about it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    """The program's exit code."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        return int(app(arguments, prog_name="cars-bench", standalone_mode=False) or 0)
    except SystemExit as left:  # typer's own answer to a reader that has gone
        if isinstance(left.__context__, BrokenPipeError):
            return READER_GONE
        raise
    except (typer.Abort, KeyboardInterrupt):
        report_error(Interrupted("Interrupted.", "run it again"), "--json" in sys.argv)
        return Interrupted.code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        program = context.command_path if context else "cars-bench"
        said = error.format_message()
        sentence = said if said.endswith((".", "?", ")")) else f"{said}."
        usage = UsageError(sentence, f"see {program} --help")
        report_error(usage, "--json" in sys.argv)
        return usage.code
