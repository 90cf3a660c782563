"""Trays, settings, atomic writes and locks."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.atomic import write_json
from cars_bench.data.images import decode_image
from cars_bench.errors import InputError, RecordDamaged, UsageError
from cars_bench.workspace import (
    CHOICES,
    SETTINGS_FILE,
    WORKSPACE_VARIABLE,
    LockHeld,
    NotPlain,
    Workspace,
    locked,
    plain_bytes,
    require_written,
    sha256_file,
)

HOLD = """
import sys, time
from pathlib import Path
from cars_bench.workspace import locked
with locked(Path(sys.argv[1]), "extract"):
    print("held", flush=True)
    time.sleep(60)
"""

# A forked child inherits the descriptor: it is refused as everybody else is, and what
# it does on its way out leaves the parent's lock alone.
FORK = """
import contextlib, os, subprocess, sys
from pathlib import Path
from cars_bench.workspace import LockHeld, locked

path = Path(sys.argv[1])
TRY = "import sys; from pathlib import Path; from cars_bench.workspace import locked\\n"
TRY += "with locked(Path(sys.argv[1]), 'extract'): pass"

def taken():
    return subprocess.run([sys.executable, "-c", TRY, path], stderr=subprocess.DEVNULL).returncode

child = 0
with contextlib.suppress(SystemExit), locked(path, "extract"):
    child = os.fork()
    if not child:
        try:
            with locked(path, "extract"):
                print("child-took-it", flush=True)
        except LockHeld:
            print("child-refused", flush=True)
        sys.exit()
    os.waitpid(child, 0)
    print("stranger-refused" if taken() else "stranger-took-it", flush=True)
if child:
    print("still held" if taken() else "free", flush=True)
"""

# The libraries have their own Windows builds; here they load first, as they are.
WITHOUT_POSIX = """
import importlib, os, pkgutil, sys
import keras, numpy, pandas, scipy.stats, tensorflow

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("uname", "sched_getaffinity", "pread", "fork", "getuid", "O_NONBLOCK", "O_CLOEXEC"):
    if hasattr(os, name):
        delattr(os, name)
import cars_bench
for item in pkgutil.walk_packages(cars_bench.__path__, "cars_bench."):
    if not item.name.endswith("__main__"):
        importlib.import_module(item.name)
"""


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "deep" / "workspace")


def test_a_named_folder_wins_over_the_variable_and_that_over_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    assert Workspace.locate().root == tmp_path
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path / "variable"))
    assert Workspace.locate().root == tmp_path / "variable"
    assert Workspace.locate(Path("named")).root == tmp_path / "named"


def test_settings_are_empty_before_anything_was_remembered(place: Workspace) -> None:
    assert place.settings() == {}


def test_choices_are_remembered_stage_by_stage(place: Workspace) -> None:
    place.remember("dataset", name="cars", crop="boxes")
    place.remember("cache", key="00ff")
    place.remember("dataset", crop="none")
    assert place.settings() == {
        "dataset": {"name": "cars", "crop": "none"},
        "cache": {"key": "00ff"},
    }


def test_none_forgets_a_choice(place: Workspace) -> None:
    place.remember("cache", key="00ff", boundary="conv4")
    place.remember("cache", boundary=None)
    assert place.settings() == {"cache": {"key": "00ff"}}


@pytest.mark.parametrize("content", [b"[dataset", b"\xff\xfe", b'dataset = "cars"\n'])
def test_unusable_settings_are_refused_by_name(place: Workspace, content: bytes) -> None:
    place.root.mkdir(parents=True)
    (place.root / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(InputError, match=SETTINGS_FILE):
        place.settings()


@given(
    st.dictionaries(
        # a choice that commands record has a type of its own, tested below
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1).filter(
            lambda name: name not in CHOICES
        ),
        st.text() | st.integers(-(2**62), 2**62) | st.booleans(),
        max_size=4,
    )
)
def test_settings_round_trip(
    tmp_path_factory: pytest.TempPathFactory, choices: dict[str, object]
) -> None:
    place = Workspace(tmp_path_factory.mktemp("settings"))
    place.remember("stage", **choices)
    assert place.settings() == {"stage": choices}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"[study]\nname = 7\n", "study.name must be text, got 7"),
        (b"[cache]\nviews = '2'\n", "cache.views must be a whole number, got '2'"),
        (b"[cache]\nseed = true\n", "cache.seed must be a whole number, got True"),
        (b"name = 'x'\n", r"'name' stands outside a \[table\]"),
        (b"\xff", "not valid TOML"),
        (b"a = " + b"[" * 9999, "not valid TOML"),
    ],
    ids=["number", "text", "truth", "outside", "bytes", "deep"],
)
def test_settings_that_no_command_records_are_refused(
    tmp_path: Path, text: bytes, problem: str
) -> None:
    (tmp_path / "cars-bench.toml").write_bytes(text)
    with pytest.raises(InputError, match=problem):
        Workspace(tmp_path).settings()


def test_json_with_a_nan_is_refused_and_the_old_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    write_json(path, {"score": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"score": float("nan")})
    assert path.read_text() == '{\n  "score": 0.5\n}\n'


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256_file(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_a_lock_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", "extract"):
            assert str(os.getpid()) in (tmp_path / "lock.holder").read_text()


def test_a_held_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = f"extract is already running.*{holder.pid}"
        with pytest.raises(LockHeld, match=said), locked(path, "extract"):
            pytest.fail("two processes hold one lock")
        holder.kill()
    with locked(path, "extract"):
        assert str(os.getpid()) in (tmp_path / "lock.holder").read_text()


def test_a_lock_file_that_nobody_holds_never_blocks(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1 on elsewhere")
    (tmp_path / "lock.holder").write_text("process 1 on elsewhere")
    with locked(tmp_path / "lock", "extract"):
        assert str(os.getpid()) in (tmp_path / "lock.holder").read_text()


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("name", ["lock", "lock.holder"])
def test_a_link_in_a_locks_place_leaves_its_target_alone(
    tmp_path: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    link(target, tmp_path / name)
    with contextlib.suppress(InputError), locked(tmp_path / "lock", "extract"):
        assert not (tmp_path / "lock").is_symlink()
    assert target.read_text() == "precious"


def test_what_cannot_be_a_lock_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(InputError, match=name), locked(tmp_path / name, "extract"):
            pytest.fail("no lock")
    assert not (tmp_path / "nowhere").exists()


def _bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _bound, lambda path: path.symlink_to("/")])
@pytest.mark.parametrize("read", [plain_bytes, decode_image])
def test_what_is_no_plain_file_is_not_read_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    path = tmp_path / "x"
    make(path)
    with pytest.raises(NotPlain, match=r"^it is no plain file$"):
        read(path)


@pytest.mark.parametrize("most", [None, 5, 4])
def test_a_file_may_have_as_many_bytes_as_its_reader_takes(
    tmp_path: Path, most: int | None
) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(NotPlain, match="larger") if most == 4 else contextlib.nullcontext():
        assert plain_bytes(tmp_path / "x", most) == b"12345"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["lock", "lock.holder"])
def test_a_named_pipe_in_a_locks_place_blocks_nobody(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with locked(tmp_path / "lock", "extract"):
        with pytest.raises(LockHeld), locked(tmp_path / "lock", "extract"):
            pytest.fail("two hold one lock")
        assert (tmp_path / "lock.holder").is_file()


@pytest.mark.parametrize(
    "note", [b"\x1b]0;owned\x07", b"\xff\xfe", b"", b"a\nb", "\u202e".encode(), None]
)
def test_a_forged_note_of_the_holder_is_not_repeated(tmp_path: Path, note: bytes | None) -> None:
    said = tmp_path / "lock.holder"
    with locked(tmp_path / "lock", "extract"):
        said.unlink()
        said.symlink_to("/proc/self/environ") if note is None else said.write_bytes(note)
        with (
            pytest.raises(LockHeld, match=r"\(another process\)"),
            locked(tmp_path / "lock", "extract"),
        ):
            pytest.fail("two hold one lock")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_a_fork_neither_takes_the_lock_nor_gives_it_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "lock")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["child-refused", "stranger-refused", "free"]


def test_the_package_imports_where_there_are_no_posix_modules() -> None:
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HOSTILE = ["../x", "..", ".", "", "/etc", "a/b", "a\\b", "a\0b", "a\nb", "-rf", "x" * 300, ["x"]]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_out_of_its_tray_is_refused(workspace, name):
    (workspace.root / "x").mkdir(parents=True)
    (workspace.studies / "a" / "b").mkdir(parents=True)
    for folder in (workspace.study, workspace.dataset):
        with pytest.raises(UsageError, match="cannot be named"):
            folder(name)


def test_a_name_is_a_folder_of_its_tray_new_or_already_there(workspace):
    assert workspace.study("a.B-1_2") == workspace.studies / "a.B-1_2"
    (workspace.studies / "an old name").mkdir(parents=True)
    assert workspace.study("an old name") == workspace.studies / "an old name"


def test_a_file_is_the_one_that_was_written_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RecordDamaged, match="file is missing"):
        require_written(path, None, "")
    path.write_bytes(b"a")
    require_written(path, None, "")
    require_written(path, sha256_file(path), "")
    with pytest.raises(RecordDamaged, match="its digest is not the recorded one"):
        require_written(path, sha256_file(path)[1:], "")
