"""Finds the cache folder in which downloaded models and compiled kernels are kept."""

from __future__ import annotations

import functools
import os
import stat
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the path of the cache folder, which may not exist yet.

    `$DECODING_CACHE`, else `decoding` in `$XDG_CACHE_HOME` (if it is an absolute path, as its
    specification asks), `%LOCALAPPDATA%` or `~/.cache`. A user without a home, as in a container,
    or whose `$HOME` is no absolute path, has a folder of their own among the temporary files.
    """
    if own := os.environ.get("DECODING_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(shared).is_absolute():
        shared = os.environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else ""
    if shared:
        return Path(shared) / "decoding"
    try:
        home = Path.home()
    except RuntimeError:
        return _temporary_folder()
    return home / ".cache" / "decoding" if home.is_absolute() else _temporary_folder()


@functools.cache
def _temporary_folder() -> Path:
    """Make a temporary folder that only this user can write to; reuse the one of this user id."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"decoding-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="decoding-"))
    is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == user and not facts.st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="decoding-"))
