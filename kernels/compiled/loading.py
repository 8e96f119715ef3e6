"""The kernels of the sampler as a unit of machine code.

This is the only module of the package that may be imported without Numba.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

<<<<<<< HEAD
from decoding.kernels.units import Group, Unit
=======
from decoding.kernels.folders import usable_folder
from decoding.kernels.forks import free_after_fork
from decoding.kernels.kept_code import digest_of, kept_in
>>>>>>> part/passes

_PACKAGE = "decoding.kernels.compiled"
_SECONDS = 45.0

_UNIT = Unit("step_rows", f"{_PACKAGE}.loading", f"{_PACKAGE}.step", _SECONDS, ("step_rows",))
_GROUP = Group("kernels of the sampler", (_UNIT,))

GROUPS = dict.fromkeys(("float32", "float64", "int16", "uint16"), _GROUP)
"""By the stored formats of `decoding.kernels.rows`, which share all machine code."""


def load(folder: Path, _name: str) -> None:
    """Import the kernels with their cache in `folder` and run them once: loads, or compiles."""
    from decoding.kernels.kept_code import kept_in

    kernel = importlib.import_module(f"{_PACKAGE}.kernel")
    step_rows = kernel.step_rows
    step_rows._cache = kept_in(folder)(step_rows.py_func)  # where Numba has it
<<<<<<< HEAD
    kernel.run_once(np.dtype(np.float32))
=======
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
>>>>>>> part/passes
