"""`Progress`: tells on stderr how far a command is, by a bar in a terminal, else by lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self


class Progress:
    """How far a command is; a context manager.

    total: when it is done. told: the line that says so, of what is done and the total, whenever
        another twentieth is; where stderr is a terminal and tqdm is installed there is a bar.
    bar: options of tqdm. wanted: False tells nothing but what `say` is given.
    """

    def __init__(
        self,
        total: float,
        told: Callable[[float, float], str],
        *,
        bar: dict[str, Any],
        wanted: bool = True,
    ) -> None:
        self._total, self._told, self._wanted = max(1, total), told, wanted
        self._done, self._part = 0.0, 0
        self._bar: Any = None
        if wanted and sys.stderr.isatty():
            with suppress(ImportError):
                from tqdm import tqdm

                self._bar = tqdm(total=total, **bar)

    def show(self, done: float) -> None:
        """Show that so much is done."""
        if self._bar is not None:
            self._bar.update(done - self._done)
        self._done = done
        part = int(20 * done // self._total)
        if part > self._part and self._bar is None and self._wanted:
            self.say(self._told(done, self._total))
        self._part = part

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        if self._bar is not None:
            self._bar.write(f"decoding: {text}", file=sys.stderr)
        else:
            sys.stderr.write(f"decoding: {text}\n")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
