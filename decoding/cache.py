"""The cache folder for downloaded models and compiled code."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The cache folder, which may not exist yet.

    `$DECODING_CACHE`, else `decoding` in `$XDG_CACHE_HOME`, `%LOCALAPPDATA%` or `~/.cache`.
    """
    if own := os.environ.get("DECODING_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    if not shared and sys.platform == "win32":
        shared = os.environ.get("LOCALAPPDATA")
    return Path(shared or Path.home() / ".cache") / "decoding"
