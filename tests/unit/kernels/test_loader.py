"""Machine code is compiled by another process, once a machine, and loaded when it is there."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from profiles import spread

from decoding.kernels import builder
from decoding.kernels.builder import Builder, interpreter
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group, Unit

pytest.importorskip("numba")
PATIENCE_SECONDS = 60.0

STAND_IN = '''
"""Units that stand for machine code: it takes a while until a file is there."""
import os, time

def load(folder, name):
    kept = folder / f"stand_in.{name}.py.nbi"
    if kept.exists():
        if kept.read_text() != "code":
            raise EOFError
        return
    with (folder / "compilations").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if name.startswith("absent"):
        raise ImportError("numba")
    if name.startswith("slow"):
        time.sleep(600)
    while name.startswith("held") and not (folder / "released").exists():
        time.sleep(0.02)
    if name.startswith("wrong") and os.environ.get("DECODING_IS_BUILDER"):
        raise ValueError
    time.sleep(0.3)
    kept.write_text("code")
'''


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


def group(*names: str) -> Group:
    units = (Unit(name, "stand_in", "decoding.kernels.rows", 3) for name in names)
    return Group("stand-ins", tuple(units))


def compilations(cache: Path) -> list[int]:
    """The processes that compiled, one for each time."""
    return [int(pid) for path in cache.glob("*/compilations") for pid in path.read_text().split()]


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_process_compiles_and_records_say_so(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "decoding.kernels")
    loader, wanted = Loader(cache), group("one", "two")
    assert not loader.is_ready(wanted)
    loader.begin(wanted)
    loader.wait(wanted)
    assert loader.is_ready(wanted)
    [first, second] = compilations(cache)
    assert first == second != os.getpid()
    begun, over = (record.getMessage() for record in caplog.records)
    assert begun == "compiling stand-ins, about 6 s, once on this machine"
    assert over.startswith("stand-ins are compiled, after ")


def test_what_is_compiled_is_loaded_and_nothing_is_said(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Loader(cache).wait(group("one"))
    caplog.set_level(logging.INFO, "decoding.kernels")
    Loader(cache).wait(group("one"))
    assert len(compilations(cache)) == 1
    assert caplog.records == []


def test_each_unit_is_loaded_when_it_is_compiled(cache: Path) -> None:
    loader, wanted = Loader(cache), group("one", "slow")
    loader.begin(wanted)
    until(lambda: loader.is_loaded(wanted.units[0]))
    assert not loader.is_ready(wanted)
    until(lambda: len(compilations(cache)) == 2)
    os.kill(compilations(cache)[-1], signal.SIGKILL)  # it is started once more, and killed again
    until(lambda: len(compilations(cache)) == 3)
    os.kill(compilations(cache)[-1], signal.SIGKILL)
    until(lambda: wanted in loader.errors)
    assert "was killed 2 times" in str(loader.errors[wanted])


@pytest.mark.slow
def test_two_processes_never_compile_the_same(cache: Path) -> None:
    first, second = Loader(cache), Loader(cache)
    one, both = group("held"), group("held", "other")
    first.begin(one)
    until(lambda: compilations(cache))
    second.begin(both)
    # What the first process compiles is left to it while there is something else to do.
    until(lambda: second.is_loaded(both.units[1]))
    [folder] = cache.iterdir()
    (folder / "released").touch()
    first.wait(one)
    second.wait(both)
    assert len(compilations(cache)) == len(set(compilations(cache))) == 2


@pytest.mark.slow
def test_a_process_that_was_killed_is_started_again(cache: Path) -> None:
    loader, wanted = Loader(cache), group("one")
    loader.begin(wanted)
    until(lambda: compilations(cache))
    os.kill(compilations(cache)[0], signal.SIGKILL)
    loader.wait(wanted)
    assert len(set(compilations(cache))) == 2


@pytest.mark.parametrize("program", [None, "/bin/false", "/nowhere/python"])
def test_where_no_process_can_compile_this_one_does(
    cache: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    monkeypatch.setattr(builder, "interpreter", lambda: program)
    Loader(cache).wait(group("one"))
    assert compilations(cache) == [os.getpid()]
    monkeypatch.undo()


def test_nor_where_compilation_fails_in_the_other(cache: Path) -> None:
    Loader(cache).wait(group("wrong"))
    assert os.getpid() in compilations(cache)
    Loader(cache).wait(group("wrong"))
    assert len(compilations(cache)) == 2


def test_an_error_that_is_raised_again_keeps_no_frames_of_earlier_callers(cache: Path) -> None:
    loader, wanted, frames = Loader(cache), group("absent"), []
    for _ in range(3):
        with pytest.raises(ImportError, match="numba") as raised:
            loader.wait(wanted)
        frames.append(len(raised.traceback))
    assert len(set(frames)) == 1


def test_a_builder_starts_no_other(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODING_IS_BUILDER", "1")
    cache.mkdir()
    assert Builder.start([(cache, unit) for unit in group("one").units]) is None


@pytest.mark.slow
def test_what_is_damaged_is_compiled_again_with_one_warning(cache: Path) -> None:
    Loader(cache).wait(group("one", "two"))
    for path in cache.glob("*/*.nbi"):
        path.write_text("garbage")
    with pytest.warns(RuntimeWarning, match=r"is damaged \(ValueError\)") as given:
        Loader(cache).wait(group("one", "two"))
    assert len(given) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Loader(cache).wait(group("one", "two"))


@pytest.mark.parametrize("place", [0, -1])
def test_a_wrong_bit_of_machine_code_is_never_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    name = f"kernel_{'last' if place else 'first'}_bit"
    (tmp_path / f"{name}.py").write_text(KERNEL)
    monkeypatch.setattr(builder, "interpreter", lambda: None)
    wanted = Group("kernels", (Unit("plus_one", name, "decoding.kernels.rows", 1),))
    Loader(cache).wait(wanted)
    [path] = cache.rglob("*.nbc")
    whole = bytearray(path.read_bytes())
    # The instruction that adds one may stand anywhere in it: every byte counts.
    whole[len(whole) // 2 if place else 0] ^= 1
    path.write_bytes(whole)
    with pytest.warns(RuntimeWarning, match=r"is damaged \(ValueError\)"):
        Loader(cache).wait(wanted)
    assert path.read_bytes() != bytes(whole)


KERNEL = """
from decoding.kernels.grammar.entries import Entry

def plus_one(number: int):
    return number + 1

entries = []

def load(folder, name):
    entries.append(Entry(plus_one, {}))
    entries[-1].load(folder)
"""


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", spread(["empty", "short", "garbage", "pickle"], 1))
def test_so_is_damaged_code_of_numba(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, damage: str
) -> None:
    name = f"kernel_{suffix}_{damage}"
    (tmp_path / f"{name}.py").write_text(KERNEL)
    monkeypatch.setattr(builder, "interpreter", lambda: None)
    wanted = Group("kernels", (Unit("plus_one", name, "decoding.kernels.rows", 1),))
    Loader(cache).wait(wanted)
    [path] = cache.rglob(f"*.{suffix}")
    whole = path.read_bytes()
    version = pickle.loads(whole)  # it was just written
    other = pickle.dumps(version) + pickle.dumps((1, 2, 3))
    path.write_bytes(
        {
            "empty": b"",
            "short": whole[: len(whole) // 2],
            "garbage": b"\x00garbage" * 99,
            "pickle": other if suffix == "nbi" else pickle.dumps({"not": "code"}),
        }[damage]
    )
    with pytest.warns(RuntimeWarning, match="compiled kernels are made again") as given:
        Loader(cache).wait(wanted)
    assert len(given) == 1
    healed = sorted(cache.rglob("*.nb?"))
    before = [path.stat().st_mtime_ns for path in healed]
    Loader(cache).wait(wanted)
    assert [path.stat().st_mtime_ns for path in healed] == before, "it is not compiled again"
    entries = sys.modules[name].entries
    assert [entry(1) for entry in entries] == [2] * len(entries)
    assert [entry.is_compiled for entry in entries] == [True, True, True]


def test_a_folder_that_cannot_be_written_to_is_replaced_with_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loader = Loader(tmp_path / "file" / "kernels")
    with pytest.warns(RuntimeWarning, match="cannot be written to: compiled kernels are not kept"):
        loader.wait(group("one"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.wait(group("two"))


PARENT = """
import signal
import sys
from pathlib import Path
from typing import Any
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group, Unit
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
loader = Loader(Path(sys.argv[1]))
wanted = Group("stand-ins", (Unit("slow", "stand_in", "decoding.kernels.rows", 3),))
loader.begin(wanted)
loader.wait(wanted)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sign", spread([signal.SIGINT, signal.SIGKILL], 1))
def test_a_builder_ends_with_the_process_that_started_it(
    cache: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    import fcntl

    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    asked = [sys.executable, "-c", PARENT, str(cache)]
    with subprocess.Popen(asked, stderr=subprocess.PIPE, env=environment) as parent:
        until(lambda: compilations(cache))
        parent.send_signal(sign)
        _, said = parent.communicate(timeout=PATIENCE_SECONDS)
    assert parent.returncode == -sign
    assert (b"KeyboardInterrupt" in said) == (sign == signal.SIGINT)
    [lock] = cache.glob("*/slow.lock")
    with lock.open("a") as file:
        until(lambda: _is_free(file.fileno(), fcntl))
    assert not list(cache.glob("*/slow.sha256"))


def _is_free(lock: int, fcntl: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.mark.slow
def test_threads_that_wait_are_all_served(cache: Path) -> None:
    loader, wanted = Loader(cache), group("one")
    waiting = [threading.Thread(target=loader.wait, args=(wanted,)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert loader.is_ready(wanted)
    assert len(compilations(cache)) == 1


def test_another_program_s_python_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interpreter() == sys.executable
    other = tmp_path / "uwsgi"
    other.touch(0o700)
    monkeypatch.setattr(sys, "executable", str(other))
    monkeypatch.setattr(sys, "_base_executable", str(other))
    assert interpreter() == str(Path(sys.exec_prefix) / "bin" / "python3")
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    assert interpreter() is None
    monkeypatch.undo()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert interpreter() is None
