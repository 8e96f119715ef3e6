"""Compilation of the Numba kernels in a second process, and loading from the cache.

Compiling takes tens of seconds, once a machine and version of this package; loading what is in the
cache takes part of one. Neither is waited for: a thread imports Numba and loads, and where the
cache is empty a process of its own compiles first, which goes on if this one ends. Until then NumPy
serves, with the same tokens.

This is the only module of the package that may be imported without Numba.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from decoding.kernels.folders import usable_folder
from decoding.kernels.forks import free_after_fork
from decoding.kernels.kept_code import digest_of, kept_in

_PACKAGE = "decoding.kernels.compiled"
_FORMATS = ("float32", "float64", "int16", "uint16")
"""The stored formats of `decoding.kernels.rows`, which share all machine code."""


_PATIENCE_SECONDS = 300.0


class Loader:
    """Readies the kernels for one format of rows after another; `ready` never blocks.

    folder: where machine code is kept. Where that cannot be written to, or others could have
    written to it, nothing is read from it: a temporary folder is used and a warning given, once.
    What is kept there and cannot be loaded is deleted and compiled again, with one warning.

    A process that forks while kernels are loading waits for that. In the child the kernels that
    were ready are, and the others are loaded anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._usable: Path | None = None
        self._process = os.getpid()
        self._lock = free_after_fork(threading.Lock())
        self._threads: dict[str, threading.Thread] = {}
        self._ready: set[str] = set()  # of `dtype.char`, which is quick to ask for
        # Held by a thread while it runs code that the end of the process must not cut off, nor a
        # fork: an import, or a compilation, would never end in the child.
        self._busy = free_after_fork(threading.Lock())
        self._is_busy = self._waits_at_exit = False
        self.error: Exception | None = None
        """Why the kernels cannot be had, where they cannot."""

    def ready(self, dtype: np.dtype[Any]) -> bool:
        """Whether the kernels for rows of a format can run now; if not, gets them on their way."""
        if dtype.char in self._ready:
            return True
        if self.error is None:
            self.begin(dtype)
        return False

    def begin(self, dtype: np.dtype[Any]) -> None:
        """Get the kernels for rows of a format on their way; returns at once."""
        with self._lock:
            self._begin_anew_in_a_child()
            if dtype.name in self._threads or self.error is not None:
                return
            # Not waited for at exit while it only waits itself; see `_leave`.
            thread = threading.Thread(
                target=self._load, args=(dtype.name,), name=f"decoding-{dtype.name}", daemon=True
            )
            if not self._waits_at_exit:  # a child inherits what is registered
                self._waits_at_exit = True
                atexit.register(self._leave)
            self._threads[dtype.name] = thread
            thread.start()

    def wait(self, dtype: np.dtype[Any]) -> None:
        """Return when the kernels are ready.

        Raises:
            ImportError: Numba is not installed.
        """
        if dtype.char in self._ready:
            return
        self.begin(dtype)
        if dtype.name in self._threads:
            self._threads[dtype.name].join()
        if dtype.char not in self._ready and self.error is not None:
            raise self.error

    def _begin_anew_in_a_child(self) -> None:
        """After a fork no thread of the parent is there, and nothing that it was about to do."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._threads = {}
        if self._is_busy:
            # The fork did not wait long enough: what the parent's thread held is held for ever.
            self.error = RuntimeError("the process was forked while its compiled kernels loaded")

    def _load(self, name: str) -> None:
        try:
            with self._uninterrupted():
                folder = self._cache()
            if not is_built(folder, name):
                build_in_a_process(folder, name)
            try:
                with self._uninterrupted():
                    load(folder, name)
            except ImportError:
                raise
            except Exception as error:  # a damaged file may raise anything
                with self._uninterrupted():
                    discard(folder, error)
                build_in_a_process(folder, name)
                with self._uninterrupted():
                    load(folder, name)
            self._ready.add(np.dtype(name).char)
        except Exception as error:  # NumPy serves whatever the reason
            self.error = error

    @contextlib.contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        with self._busy:
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False

    def _cache(self) -> Path:
        """The folder for this machine, this Python and this version of the package."""
        if self._usable is None:
            self._usable = usable_folder(self._folder / cache_key(), "compiled kernels")
        return self._usable

    def _leave(self) -> None:
        """At exit: let a thread that is loading finish."""
        if self._process == os.getpid():
            self._busy.acquire()


def cache_key() -> str:
    """Changes with everything that machine code depends on, the code it is compiled from above all.

    All formats of rows share it: they are compiled from the same functions.
    """
    import llvmlite
    import llvmlite.binding
    import numba

    parts = [platform.python_version(), platform.machine(), np.__version__]
    parts += [numba.__version__, llvmlite.__version__, llvmlite.binding.get_host_cpu_name()]
    features = llvmlite.binding.get_host_cpu_features()
    parts += sorted(name for name, there in features.items() if there)
    parts.append(digest_of(f"{_PACKAGE}.step"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def load(folder: Path, name: str) -> None:
    """Import the kernels with their cache in `folder` and run them once: loads, or compiles."""
    kernel = importlib.import_module(f"{_PACKAGE}.kernel")
    step_rows = kernel.step_rows
    step_rows._cache = kept_in(folder)(step_rows.py_func)  # where Numba has it
    kernel.run_once(np.dtype(name))


def is_built(folder: Path, name: str) -> bool:
    """Whether a folder claims to hold the kernels for one format."""
    return (folder / f"{name}.done").exists() and any(folder.glob("*.nbi"))


def discard(folder: Path, error: Exception) -> None:
    """Delete what is kept in a folder and cannot be loaded, and warn."""
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


def build(folder: Path, name: str) -> None:
    """Fill the cache and say so beside it; only for a process that ends then."""
    from decoding.kernels.entry_code import entries_alone  # which few processes need

    with entries_alone("step_rows"):
        load(folder, name)
    (folder / f"{name}.done").touch()


def build_in_a_process(folder: Path, name: str) -> None:
    """Fill the cache from a process of its own, which outlives this one; returns when it is done.

    Where another program's is already at it, that one is waited for. Where no process can be
    started or it fails, nothing is filled: loading then compiles.
    """
    if not sys.executable or importlib.util.find_spec(_PACKAGE) is None:
        return
    program = (
        f"from {_PACKAGE}.loading import build; from pathlib import Path;"
        f" build(Path({str(folder)!r}), {name!r})"
    )
    claim = folder / f"{name}.building"
    try:
        if not _claimed(claim):
            claim.touch()
            with (folder / f"{name}.log").open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,
                )
            process.wait()
            claim.unlink(missing_ok=True)
        while _claimed(claim) and not (folder / f"{name}.done").exists():
            time.sleep(0.1)
    except OSError:
        return


def _claimed(claim: Path) -> bool:
    """Whether somebody said, not too long ago, that they build."""
    try:
        return time.time() - claim.stat().st_mtime < _PATIENCE_SECONDS
    except OSError:
        return False
