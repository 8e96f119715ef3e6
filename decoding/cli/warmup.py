"""`decoding warmup`: compiles the Numba kernels into the cache ahead of their first use."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence

from decoding import compilation
from decoding.cli.progress import Progress
from decoding.errors import DecodingError, MissingDependencyError, require
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.grammar.loading import AUTOMATA, NESTED
from decoding.kernels.units import Group
from decoding.sampling.backends import stored_format
from decoding.typing import Anything

_POLL_SECONDS = 0.1
_FORMATS = ("float32", "float64", "float16", "bfloat16")
_GRAMMARS = "grammars"
_WHAT = (*_FORMATS, _GRAMMARS)


def add_warmup(commands: Anything) -> None:  # argparse names no public type
    """Add `warmup` to the subcommands."""
    parser = commands.add_parser(
        "warmup",
        help="compile the kernels ahead of their first use",
        description="Compile the kernels that are not in the cache yet. Without this, the first use"
        " on a machine compiles them in the background, and is slower until then, with the same"
        " results. All environments of a machine that have the same versions share the cache.",
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"{', '.join(_WHAT)}: kernels for logits of this type, or of grammars (default: all)",
    )
    parser.set_defaults(run=_warmup)


def _warmup(asked: argparse.Namespace) -> Iterator[str]:
    groups: list[Group] = []
    for what in asked.what or _WHAT:
        require("WHAT", what, what in _WHAT, f"one of {', '.join(_WHAT)}")
        if what == _GRAMMARS:
            groups += [AUTOMATA, NESTED]
        else:
            groups.append(GROUPS[stored_format(what)])
    yield from compiled(list(dict.fromkeys(groups)))


def compiled(groups: Sequence[Group]) -> Iterator[str]:
    """Compile groups of kernels, or load them from the cache, as many at once as cores.

    Yields a line for each when it is done. Progress goes to stderr: a bar where that is a terminal
    and tqdm is installed, else lines.

    Raises:
        MissingDependencyError: Numba is not installed.
        DecodingError: the kernels cannot be compiled.
    """
    loader = compilation.loader()
    progress = Progress(
        sum(unit.seconds for group in groups for unit in group.units),
        lambda done, total: f"{100 * done / total:.0f} % of the kernels are ready",
        bar={"bar_format": "compiling {percentage:3.0f}%|{bar}| {elapsed}"},
    )
    loader.tell = progress.say
    waiting, running = list(groups), dict[Group, float]()
    with progress:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                loader.begin(waiting[0], is_urgent=True)
                running[waiting.pop(0)] = time.monotonic()
            time.sleep(_POLL_SECONDS)
            units = [unit for group in groups for unit in group.units if loader.is_loaded(unit)]
            progress.show(sum(unit.seconds for unit in units))
            for group in list(running):
                if group in loader.errors:
                    raise _error(group, loader.errors[group])
                if loader.is_ready(group):
                    seconds = time.monotonic() - running.pop(group)
                    yield f"{group.title}: ready after {seconds:.1f} s\n"


def _error(group: Group, error: Exception) -> DecodingError:
    if isinstance(error, ImportError):
        return MissingDependencyError("numba", "numba")
    return DecodingError(f"{group.title} cannot be compiled: {error}")
