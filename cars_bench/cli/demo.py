"""`cars-bench demo`: every stage on the drawn images, each as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.documents import to_json
from cars_bench.errors import CarsBenchError
from cars_bench.progress import duration

NAME = "demo"
STAGES: dict[str, tuple[str, ...]] = {
    "prepare": ("--demo", "--name", NAME),
    "extract": ("--dataset", NAME, "--backbone", "efficientnet-lite0", "--image-size", "224"),
    "tune": ("--study", NAME, "--space", "quick", "--trials", "{trials}"),
    "finetune": ("--study", NAME, "--best", "--recipe", "demo"),
    "evaluate": ("--model", NAME + "/{run}"),
    "report": ("--study", NAME),
}


class StageFailed(CarsBenchError):
    """A stage ended with an exit code other than 0, which becomes the demo's own."""

    def __init__(self, code: int, message: str, fix: str) -> None:
        super().__init__(message, fix)
        self.code = code


@dataclass(frozen=True)
class Finished:
    """A stage that ran.

    Attributes:
        name: The command.
        arguments: What follows `cars-bench`.
        seconds: Wall time, the start of its process included.
        result: Its JSON document.
    """

    name: str
    arguments: list[str]
    seconds: float
    result: Document


@command(
    app,
    "demo",
    "cars-bench demo",
    "cars-bench demo --workspace /somewhere/else",
)
def demo(
    session: Session,
    trials: Annotated[int, typer.Option(min=1, help="Heads to search.")] = 12,
) -> Document:
    """Run every stage on drawn images, offline; again, it goes on."""
    finished: list[Finished] = []
    known: dict[str, Any] = {"trials": trials}
    for name, template in STAGES.items():
        arguments = [name, *(word.format(**known) for word in template)]
        session.say(f"[{len(finished) + 1}/{len(STAGES)}] cars-bench {' '.join(arguments)}")
        done = _finished_before(session, known) if name == "finetune" else None
        finished.append(done or run_stage(session, arguments))
        known |= finished[-1].result
        session.say(f"      done in {duration(finished[-1].seconds)}")
    return _conclusion(session, finished)


def run_stage(session: Session, arguments: list[str]) -> Finished:
    """Run one command in a process of its own, its progress going straight to stderr.

    Raises:
        StageFailed: It did not end with 0.
    """
    started = time.monotonic()
    shared = ["--workspace", str(session.workspace.root), "--json"]
    if session.quiet:
        shared.append("--quiet")
    if session.debug:
        shared.append("--debug")
    with _left_to_the_stage():
        process = subprocess.run(
            [sys.executable, "-m", "cars_bench", *arguments, *shared],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    document = _document(process.stdout)
    if process.returncode or not document:
        raise _failure(session, arguments[0], process.returncode, document.get("error", {}))
    return Finished(arguments[0], arguments, time.monotonic() - started, document)


def _finished_before(session: Session, known: dict[str, Any]) -> Finished | None:
    """The winner's fine-tuning if an earlier demo came that far; `finetune` would begin anew."""
    from cars_bench.finetune.runs import runs
    from cars_bench.tuning.study import Study

    winner = known.get("winner", {}).get("trial_id")
    if winner is None:
        return None
    for run in runs(Study.open(session.workspace, NAME)):
        if run.record.trial_id == winner:
            session.say(f"      {run.folder} is there already")
            arguments = ["finetune", "--study", NAME, "--best"]
            return Finished("finetune", arguments, 0.0, to_json(run.record))
    return None


@contextmanager
def _left_to_the_stage() -> Iterator[None]:
    """Let the running stage answer Ctrl-C, which the terminal sends to both, in its own way.

    A handler that does nothing, unlike SIG_IGN, is not inherited by the stage.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _document(text: str) -> Document:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _failure(session: Session, name: str, code: int, error: dict[str, Any]) -> StageFailed:
    again = f"cars-bench demo --workspace {session.workspace.root} goes on where it stopped"
    if code < 0:
        return StageFailed(1, f"{name} was killed by signal {-code}.", again)
    said = error.get("message", f"it ended with exit code {code} and no result.")
    fix = f"{error['fix']}; then {again}" if error.get("fix") else again
    return StageFailed(code or 1, f"{name}: {said}", fix)


def _conclusion(session: Session, finished: list[Finished]) -> Document:
    results = {stage.name: stage.result for stage in finished}
    scores = {kind: results["evaluate"][kind] for kind in ("frozen", "finetuned")}
    report = session.workspace.reports / NAME / "report.html"
    session.say(f"test accuracy, frozen:     {_accuracy(scores['frozen'])}")
    session.say(f"test accuracy, fine-tuned: {_accuracy(scores['finetuned'])}")
    session.say(f"report: {report}")
    stages = [
        {"name": stage.name, "arguments": stage.arguments, "seconds": round(stage.seconds, 2)}
        for stage in finished
    ]
    handoff = results["evaluate"].get("handoff") or results["finetune"].get("handoff")
    return {
        "stages": [item | {"result": results[str(item["name"])]} for item in stages],
        "seconds": round(sum(stage.seconds for stage in finished), 2),
        **scores,
        "handoff": handoff,
        "report": str(report),
    }


def _accuracy(scores: dict[str, Any]) -> str:
    test = scores["test"]
    top1 = test["top1"]
    interval = f"95% interval {top1['low']:.1%} to {top1['high']:.1%}"
    return f"{top1['value']:.1%} of {test['n']} images ({interval})"
