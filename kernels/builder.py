"""The builder: a child process of low priority that compiles kernels and ends with its parent.

Numba holds the interpreter's lock while it compiles; in a thread it would stop what draws. The
process fills the folder of each unit and writes `NAME.sha256` beside it. It holds a lock on
`NAME.lock` meanwhile, which the system releases however the process ends: so no two processes of a
machine compile the same unit at once, and none waits for one that is gone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from decoding.kernels.folders import lock_file, open_private
from decoding.kernels.units import Unit

_NICE = 10
_IS_BUILDER = "DECODING_IS_BUILDER"
"""Set in the environment of a builder, so that none starts another one, whatever it runs."""
_PROGRAM = "from decoding.kernels.builder import main; main()"


class Builder:
    """A child process that compiles kernels to machine code and keeps it in the cache.

    Where this process ends or is killed, its builder ends too, with all finished units kept.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        _PROCESSES.append(process)

    @classmethod
    def start(cls, jobs: Sequence[tuple[Path, Unit]], *, is_urgent: bool = False) -> Builder | None:
        """Start a process that compiles units into folders; None where that is impossible.

        is_urgent: at this process's own priority, because somebody waits.
        """
        python = interpreter()
        if python is None or os.environ.get(_IS_BUILDER):
            return None
        nice = 0 if is_urgent else _NICE
        asked = {"nice": nice, "jobs": [(str(folder), *_fields(unit)) for folder, unit in jobs]}
        environment = {
            **os.environ,
            _IS_BUILDER: "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        try:
            with open_private(jobs[0][0] / "builder.log", "w") as log:
                process = subprocess.Popen(
                    [python, "-c", _PROGRAM, json.dumps(asked)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,  # Ctrl-C of a terminal is for this process alone
                )
        except OSError:
            return None
        return cls(process)

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended the process, as where memory ran out."""
        return (self._process.poll() or 0) < 0

    def end(self) -> None:
        """End the process; what it has finished is kept."""
        _close(self._process)
        with contextlib.suppress(ValueError):
            _PROCESSES.remove(self._process)
        # It may have to wait long for a turn to end by itself.
        self._process.kill()
        self._process.wait()


_PROCESSES: list[subprocess.Popen[bytes]] = []
"""The builders of this process; each ends when its standard input does."""


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _forget_builders() -> None:
    """In a forked child: do not keep the parent's builders alive."""
    while _PROCESSES:
        _close(_PROCESSES.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_builders)


def interpreter() -> str | None:
    """The Python that can run this package in another process; None where none is known.

    `sys.executable` is another program where Python is embedded or frozen into one.
    """
    if getattr(sys, "frozen", False) or importlib.util.find_spec("decoding.kernels") is None:
        return None
    folder = Path(sys.exec_prefix)
    beside = (folder / "bin" / "python3", folder / "python.exe", folder / "Scripts" / "python.exe")
    named = (sys.executable, getattr(sys, "_base_executable", None))
    for path in (*(Path(one) for one in named if one), *beside):
        if path.stem.lower().startswith(("python", "pypy")) and os.access(path, os.X_OK):
            return str(path)
    return None


def _fields(unit: Unit) -> tuple[object, ...]:
    return unit.name, unit.loader, unit.source, unit.seconds, unit.entries


def main() -> None:
    """Compile the units that the first argument names; end early when standard input closes."""
    asked = json.loads(sys.argv[1])
    os.umask(0o077)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if asked["nice"] and hasattr(os, "nice"):
        os.nice(asked["nice"])
    jobs = [
        (Path(folder), Unit(name, loader, source, seconds, tuple(entries)))
        for folder, name, loader, source, seconds, entries in asked["jobs"]
    ]
    # What another process compiles is left to it until everything else is done.
    for waits in (False, True):
        for folder, unit in jobs:
            build(folder, unit, waits=waits)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def build(folder: Path, unit: Unit, *, waits: bool) -> None:
    """Compile a unit into a folder unless it is there.

    waits: for another process that compiles it; else it is left to that one.
    """
    if unit.is_built(folder):
        return
    with _locked(folder / f"{unit.name}.lock", waits=waits) as is_ours:
        if is_ours and not unit.is_built(folder):
            _compile(folder, unit)
            unit.note_built(folder)


def _compile(folder: Path, unit: Unit) -> None:
    if not unit.entries:
        unit.load(folder)
        return
    from decoding.kernels.entry_code import entries_alone

    with entries_alone(*unit.entries):
        unit.load(folder)


@contextlib.contextmanager
def _locked(path: Path, *, waits: bool) -> Iterator[bool]:
    """Hold the lock of a file; whether that was possible. It is where there are no locks."""
    with open_private(path, "a") as file:
        yield lock_file(file, waits=waits)
