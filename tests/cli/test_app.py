"""The program as a whole: help, version, usage errors, one JSON document.

Covers cars_bench/cli/session.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cars_bench import __version__
from cars_bench.cli import app as module
from cars_bench.cli.session import Session, command
from cars_bench.errors import CacheStale, NoTrialCompleted, UsageError
from cars_bench.workspace import Workspace
from tests.tuning.studies import write_study

HEAVY = {
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "openvino",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
}
LOADED = """
import atexit, sys
from cars_bench.cli.app import main
atexit.register(lambda: print(*sys.modules))
main()
"""
PROGRAM = typer.main.get_command(module.app).commands
NAMES = [
    [name, *inner]
    for name, item in PROGRAM.items()
    for inner in ([[leaf] for leaf in item.commands] if hasattr(item, "commands") else [[]])
]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the program, in this process."""
    monkeypatch.setattr(sys, "argv", ["cars-bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["--version"]])
def test_what_should_answer_at_once_loads_nothing_heavy(arguments, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        env=os.environ | {"CARS_BENCH_WORKSPACE": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.splitlines()[-1].split()) & HEAVY == set()


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["--version"]])
def test_a_reader_that_goes_away_is_no_error(arguments, tmp_path: Path) -> None:
    """As in `cars-bench trials | head -1`: quiet, with the exit code of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "cars_bench", *arguments],
        env=os.environ | {"CARS_BENCH_WORKSPACE": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cars_bench", "status", "--json", "--workspace", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trials", "--study", "nope"], "no study named 'nope' (there are: mine, other)"),
        (["evaluate", "--study", "nope"], "no study named 'nope' (there are: mine, other)"),
        (["report", "--study", "nope"], "no study named 'nope' (there are: mine, other)"),
        (["finetune", "--best", "--study", "nope"], "'nope' (there are: mine, other)"),
        (["cache", "verify", "--cache", "beef"], "no cache beef (there is: 00000000000000ff)"),
        (["tune", "--cache", "beef"], "no cache beef (there is: 00000000000000ff)"),
        (["extract", "--dataset", "nope"], "no dataset named 'nope' (there is: tiny)"),
        (["predict", "{photo}", "--model", "nope"], "no finished model 'nope'."),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    program, workspace, tiny_dataset, tiny_source, arguments, said
) -> None:
    for name in ("mine", "other"):
        write_study(workspace.studies / name)
    (workspace.features / "00000000000000ff").mkdir(parents=True)
    photo = next((tiny_source / "images").iterdir())
    typed = [word.format(photo=photo) for word in arguments]
    code, _, err = program(*typed, "--workspace", str(workspace.root))
    assert code == 3
    assert said in err


@pytest.mark.parametrize("names", [[], ["cache"]], ids=["all", "cache"])
def test_no_summary_is_cut_at_80_columns(program, monkeypatch, names) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = program(*names, "--help")[1].partition("Commands:\n")[2].splitlines()
    assert listed
    assert not [line for line in listed if line.endswith("...") or not line.endswith(".")]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_on_a_terminal_no_word_is_broken(tmp_path: Path) -> None:
    name = "a-study-with-quite-a-long-name-that-does-not-exist"
    command = [sys.executable, "-m", "cars_bench", "trials", "--study", name]
    for study in range(4):
        write_study(tmp_path / "tuning" / f"another-study-with-a-long-name-{study}")
    ours, theirs = os.openpty()
    environment = os.environ | {"COLUMNS": "80", "CARS_BENCH_WORKSPACE": str(tmp_path)}
    subprocess.run(command, env=environment, stderr=theirs, check=False)
    os.close(theirs)
    said = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert len(said) > 2
    assert all(len(line) <= 80 for line in said)
    assert f"'{name}'" in " ".join(said)
    assert "another-study-with-a-long-name-3" in " ".join(said)


def test_completion_can_be_installed_and_completes(tmp_path: Path) -> None:
    def complete(*words: str) -> list[str]:
        asked = {
            "_CARS_BENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        command = [sys.executable, "-c", LOADED.partition("atexit.register")[0] + "main()"]
        done = subprocess.run(
            command, env=os.environ | asked, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("cars-bench", "e") == ["extract", "evaluate", "export"]
    assert complete("cars-bench", "extract", "--ba") == ["--backbone", "--batch-size"]


def test_completion_is_offered(program) -> None:
    assert "--install-completion" in program("--help")[1]


@pytest.mark.parametrize(("installed", "said"), [(None, "Tip: It flies: pip install"), (1, "")])
def test_a_suggestion_is_made_where_the_package_lacks(
    monkeypatch, capsys, tmp_path, installed, said
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: installed)
    for options in ({}, {"quiet": True}, {"json_output": True}):
        Session(Workspace(tmp_path), **options).suggest("rocket", "It flies")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert (said in captured.err) if not options else (captured.err == "")


def test_version(program) -> None:
    assert program("--version") == (0, f"cars-bench {__version__}\n", "")


def test_no_command_at_all_shows_the_help(program) -> None:
    code, out, _ = program()
    assert code == 0
    assert all(f"\n  {name} " in out for name in PROGRAM)


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_every_command_has_a_summary_and_examples_of_itself(program, names: list[str]) -> None:
    code, out, _ = program(*names, "--help")
    summary, _, examples = out.partition("Examples:\n")
    assert code == 0
    assert summary.split("\n\n")[1].strip()
    assert f"cars-bench {' '.join(names)}" in examples
    assert "--workspace" in summary
    assert "--json" in summary


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_help_shows_defaults_that_stand_in_brackets(program, names: list[str]) -> None:
    _, out, _ = program(*names, "--help")
    assert "[default: $CARS_BENCH_WORKSPACE or .]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-command"], "no-such-command"),
        (["cache", "no-such-command"], "no-such-command"),
        (["status", "--no-such-option"], "--no-such-option"),
        (["demo", "--trials", "many"], "--trials"),
        (["demo", "--trials", "0"], "--trials"),
    ],
)
def test_a_usage_error_names_what_is_wrong_and_exits_with_2(program, arguments, said) -> None:
    code, out, err = program(*arguments)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[0]
    assert "--help" in err.splitlines()[1]
    code, out, _ = program(*arguments, "--json")
    error = json.loads(out)["error"]
    assert code == error["code"] == 2
    assert said in error["message"]


def nan_result() -> dict[str, float]:
    return {"score": float("nan")}


def chatty_library() -> dict[str, int]:
    print("a library prints")
    return {"answer": 42}


def raises(error: BaseException):
    def body() -> dict[str, object]:
        raise error

    return body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (raises(UsageError("Wrong.", "do right")), 2),
        (raises(PermissionError(13, "Permission denied", "/nowhere")), 3),
        (raises(OSError(28, "No space left on device")), 3),
        (raises(OSError("Can't write data (errno = 28, error message = 'No space left')")), 3),
        (raises(OSError(27, "File too large")), 3),
        (raises(OSError(36, "File name too long", "x" * 5000)), 3),
        (raises(CacheStale("Old.", "cars-bench extract")), 4),
        (raises(NoTrialCompleted("None.", "widen the space")), 5),
        (raises(KeyboardInterrupt()), 130),
        (raises(ZeroDivisionError("division by zero")), 1),
        (nan_result, 1),
        (chatty_library, 0),
    ],
)
def test_json_is_one_document_whatever_happens(capsys, tmp_path, body, code: int) -> None:
    session = Session(Workspace(tmp_path), json_output=True)
    assert session.run(body) == code
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert ("error" in document) == (code != 0)
    if code:
        assert document["error"]["code"] == code
        assert set(document["error"]) == {"code", "message", "fix"}


def test_an_error_is_two_lines_and_a_traceback_only_for_debug(capsys, tmp_path) -> None:
    body = raises(CacheStale("Old.", "cars-bench extract"))
    Session(Workspace(tmp_path)).run(body)
    assert capsys.readouterr().err == "error: Old.\n  fix: cars-bench extract\n"
    Session(Workspace(tmp_path), debug=True).run(body)
    assert "Traceback" in capsys.readouterr().err


def test_no_name_reaches_the_terminal_as_a_command_to_it(capsys, tmp_path) -> None:
    session = Session(Workspace(tmp_path))
    session.say("\x1b[2Ja\nb")
    session.run(raises(CacheStale("\x9b1m.", "\x1b]0;x\x07")))
    captured = capsys.readouterr()
    assert captured.out == "\\x1b[2Ja\nb\n"
    assert captured.err == "error: \\x9b1m.\n  fix: \\x1b]0;x\\x07\n"


def test_a_command_gets_its_own_options_and_the_common_ones(capsys, tmp_path) -> None:
    toy = typer.Typer(rich_markup_mode=None)

    @command(toy, "hello", "cars-bench hello --times 3")
    def hello(session: Session, times: int = 1) -> dict[str, object]:
        """Say hello."""
        session.say("hi " * times)
        return {"times": times, "root": str(session.workspace.root)}

    arguments = ["--times", "2", "--json", "--workspace", str(tmp_path)]
    assert toy(arguments, standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "times": 2,
        "root": str(tmp_path.resolve()),
    }


@pytest.mark.slow
def test_five_small_models_do_not_pass_for_one_that_is_traced_five_times(tmp_path) -> None:
    code = """
import pathlib, sys
from cars_bench.cli.session import Session
from cars_bench.workspace import Workspace
Session(Workspace(pathlib.Path(sys.argv[1]))).choose_backend("tensorflow")
import keras, numpy as np
for _ in range(6):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.predict_on_batch(np.zeros((1, 2), np.float32))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)],
                          env=os.environ | {"KERAS_BACKEND": "tensorflow"},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert "retracing" not in done.stderr


def test_the_users_backend_wins(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    session = Session(Workspace(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert session.choose_backend("jax", "tensorflow") == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "no-such-backend")
    with pytest.raises(UsageError, match="no-such-backend"):
        session.choose_backend("jax", "tensorflow")
