"""Loads compiled kernels in the background, and compiles those that are missing.

Compilation takes tens of seconds, once for all environments of a machine that have the same
sources, Numba, Python and processor. Nobody waits for it: a thread imports Numba and loads what is
kept, and where nothing is kept a process of its own compiles first (`decoding.kernels.builder`).
Until then NumPy and Python serve, with the same results.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from decoding.kernels.forks import free_after_fork
from decoding.kernels.units import Group, Unit

_POLL_SECONDS = 0.1
_STARTS = 2
"""A builder that is killed is started again so often in all."""


class Loader:
    """Loads or compiles groups of kernels in the background; `is_ready` never blocks.

    folder: where machine code is kept. Where others could have written to it, nothing is read from
    it: a temporary folder is used and a warning given, once. So it is where something is missing
    and it cannot be written to, or has no room.
    What is kept there and cannot be loaded is deleted and compiled again, with one warning.

    Compilation is announced by a log record of `decoding.kernels` and, where the standard error is
    a terminal, by a line there; so is its end.

    A process that forks while machine code is loading waits for that. In the child what was ready
    is, and the rest is loaded anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders: dict[str, Path] = {}
        self._process = os.getpid()
        self._lock = free_after_fork(threading.Lock())
        self._threads: dict[Group, threading.Thread] = {}
        self._ready: set[Group] = set()
        self._loaded: set[Unit] = set()
        self._discarded: set[Path] = set()
        self._counts: dict[Group, int] = {}
        # Held by a thread while it runs code that the end of the process must not cut off, nor a
        # fork: an import, or a compilation, would never end in the child.
        self._busy = free_after_fork(threading.Lock())
        self._is_busy = self._waits_at_exit = False
        self.tell = _write_line
        """Called with each line for a terminal."""
        self.errors: dict[Group, Exception] = {}
        """Why groups cannot be had, where they cannot."""

    def is_ready(self, group: Group) -> bool:
        """Whether all of a group is loaded."""
        return group in self._ready

    def is_loaded(self, unit: Unit) -> bool:
        """Whether a unit is loaded, though its group may not be."""
        return unit in self._loaded

    def count(self, group: Group) -> int:
        """Count the calls of this method for a group, this one included."""
        counted = self._counts[group] = self._counts.get(group, 0) + 1
        return counted

    def begin(self, group: Group, *, is_urgent: bool = False) -> None:
        """Start to load or compile a group in the background; return at once.

        is_urgent: compile at this process's own priority, because somebody waits.
        """
        if group in self._ready or group in self.errors:
            return
        with self._lock:
            self._begin_anew_in_a_child()
            if group in self._threads or group in self.errors:
                return
            # Not waited for at exit while it only waits itself; see `_leave`.
            thread = threading.Thread(
                target=self._load, args=(group, is_urgent), name="decoding-kernels", daemon=True
            )
            if not self._waits_at_exit:  # a child inherits what is registered
                self._waits_at_exit = True
                atexit.register(self._leave)
            self._threads[group] = thread
            thread.start()

    def wait(self, group: Group) -> None:
        """Wait until a group is loaded.

        Raises:
            ImportError: Numba is not installed.
        """
        if group in self._ready:
            return
        self.begin(group, is_urgent=True)
        thread = self._threads.get(group)
        if thread is not None:
            thread.join()
        if group not in self._ready and group in self.errors:
            # A copy: an error that is raised again keeps the frames of everyone who has met it.
            raise copy.copy(self.errors[group])

    def _begin_anew_in_a_child(self) -> None:
        """After a fork no thread of the parent is there, and nothing that it was about to do."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        begun, self._threads = self._threads, {}
        if self._is_busy:
            # The fork did not wait long enough: what the parent's thread held is held for ever.
            error = RuntimeError("the process was forked while its compiled kernels loaded")
            self.errors.update(dict.fromkeys(begun.keys() - self._ready, error))

    def _load(self, group: Group, is_urgent: bool) -> None:
        try:
            with self._uninterrupted():
                jobs = [(self._folder_of(unit, group), unit) for unit in group.units]
            missing = [job for job in jobs if job[1] not in self._loaded]
            self._load_built(missing)
            if missing:
                self._build(group, missing, is_urgent=is_urgent)
            self._ready.add(group)
        except Exception as error:  # NumPy and Python serve whatever the reason
            self.errors[group] = error

    def _load_built(self, missing: list[tuple[Path, Unit]]) -> None:
        """Load the units that are compiled, and take them off the list."""
        for job in list(missing):
            folder, unit = job
            if unit.is_built(folder) and self._has_loaded(folder, unit):
                missing.remove(job)

    def _has_loaded(self, folder: Path, unit: Unit) -> bool:
        """Load a unit that is compiled; False where it is damaged and was deleted."""
        with self._uninterrupted():
            try:
                unit.check(folder)
                unit.load(folder)
            except ImportError:
                raise
            except FileNotFoundError:  # another process has found it damaged
                return False
            except Exception as error:  # a damaged file may raise anything
                # A process that ends cannot import, which says nothing of the files.
                if folder in self._discarded or not threading.main_thread().is_alive():
                    raise
                self._discarded.add(folder)
                discard(folder, error)
                return False
        self._loaded.add(unit)
        return True

    def _build(self, group: Group, missing: list[tuple[Path, Unit]], *, is_urgent: bool) -> None:
        """Have units compiled, and load each when it is; the list is empty afterwards.

        Raises:
            RuntimeError: the process that compiles was killed again and again.
        """
        with self._uninterrupted():
            from decoding.kernels.builder import Builder
        start, seconds = time.monotonic(), sum(unit.seconds for _, unit in missing)
        self._say(f"compiling {group.title}, about {seconds:.0f} s, once on this machine")
        starts, builder = 0, None
        try:
            while missing:
                if builder is None or not builder.is_running:
                    if starts == _STARTS or (builder is not None and not builder.was_killed):
                        break
                    if builder is not None:
                        builder.end()
                    starts, builder = starts + 1, Builder.start(missing, is_urgent=is_urgent)
                    if builder is None:
                        break
                time.sleep(_POLL_SECONDS)
                # What ended just now may have finished more than was looked for.
                self._load_built(missing)
            self._load_built(missing)
        finally:
            if builder is not None:
                builder.end()
        if missing and builder is not None and builder.was_killed and not is_urgent:
            # This process might be killed next.
            raise RuntimeError(f"compilation of {group.title} was killed {starts} times")
        for folder, unit in missing:
            with self._uninterrupted():
                unit.load(folder)
                with contextlib.suppress(OSError):  # it is not kept then
                    unit.note_built(folder)
            self._loaded.add(unit)
        missing.clear()
        self._say(f"{group.title} are compiled, after {time.monotonic() - start:.0f} s")

    def _say(self, text: str) -> None:
        """One log record, and one line on a terminal."""
        import logging

        logging.getLogger("decoding.kernels").info(text)
        if sys.stderr is not None and sys.stderr.isatty():
            with contextlib.suppress(OSError, ValueError):  # it was closed
                self.tell(text)

    @contextlib.contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        with self._busy:
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False

    def _folder_of(self, unit: Unit, group: Group) -> Path:
        """The folder of a unit's machine code, for this machine, Python and version of sources.

        It need not be writeable where it holds all that a group has of this source.
        """
        from decoding.kernels.folders import usable_folder
        from decoding.kernels.kept_code import cache_key

        if unit.source not in self._folders:
            wanted = self._folder / cache_key(unit.source)
            units = (other for other in group.units if other.source == unit.source)
            self._folders[unit.source] = usable_folder(
                wanted, "compiled kernels", is_complete=all(one.is_built(wanted) for one in units)
            )
        return self._folders[unit.source]

    def _leave(self) -> None:
        """At exit: let a thread that is loading finish."""
        if self._process == os.getpid():
            self._busy.acquire()


def discard(folder: Path, error: Exception) -> None:
    """Delete machine code that cannot be loaded from a folder, and warn."""
    import shutil

    warnings.warn(
        f"{folder} is damaged ({type(error).__name__}): compiled kernels are made again",
        RuntimeWarning,
        stacklevel=2,
    )
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _write_line(text: str) -> None:
    sys.stderr.write(f"decoding: {text}\n")
    sys.stderr.flush()
