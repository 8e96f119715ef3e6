"""`decoding batch`: answers a file of requests; a run that was killed resumes where it stopped."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from decoding.cli.batch_rows import Row, Settings, error_line, read_row
from decoding.cli.flags import add_flags, read_flags
from decoding.cli.grammar import add_grammar_flags
from decoding.cli.model_flags import Load, add_adapters_flag, add_model_flag
from decoding.cli.progress import Progress
from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.errors import DecodingError, MissingDependencyError, ParameterError, require
from decoding.models import LanguageModel
from decoding.sampling.backends import warmup
from decoding.typing import Anything

_ROUNDS = 8
"""Rows of a group, in batches: rows of one group run together, and of two groups never."""


def add_batch(commands: Anything, load: Load) -> None:  # argparse names no public type
    """Add `batch` to the subcommands. load: makes the model that flags choose."""
    parser = commands.add_parser(
        "batch",
        help="answer a file of requests, and go on where a killed run stopped",
        description="Answer the requests in IN, JSON objects a line, and write a JSON object a line"
        " to OUT, in the same order. Where OUT has results of the same run, go on behind them.",
        epilog="A row has `inputs`, `prompt` or `messages`, and optionally `id` and `parameters`;"
        " flags are for rows that do not say. A bad row has an `error` in OUT.",
    )
    parser.add_argument("source", metavar="IN.jsonl")
    parser.add_argument("target", metavar="OUT.jsonl")
    add_model_flag(parser, "default: as for generate")
    add_adapters_flag(parser)
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="rows that run at once (default: 8)"
    )
    parser.add_argument("--overwrite", action="store_true", help="begin anew where OUT exists")
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, default=True, help="tell how far it is"
    )
    add_flags(parser.add_argument_group("request parameters, named as in the API"))
    add_grammar_flags(parser)
    parser.set_defaults(run=lambda asked: _batch(asked, load))


def _batch(asked: argparse.Namespace, load: Load) -> Iterator[str]:
    size = asked.batch_size
    require("--batch-size", size, 1 <= size <= 4096, "an integer from 1 to 4096")
    seed, asked.seed = asked.seed or 0, None
    settings = Settings(read_flags(asked), seed, size, asked.model, asked.adapters)
    source, target = Path(asked.source), Path(asked.target)
    lines = _lines_of(source)
    done = 0
    if target.exists():
        if asked.overwrite:
            target.unlink()
        else:
            done = _resume(target, lines, settings)
    if done == len(lines):
        target.touch()
        return
    model = load(asked)
    progress = Progress(
        len(lines), "{} of {} rows".format, bar={"unit": "row"}, wanted=asked.progress
    )
    with target.open("ab") as out, progress:
        progress.show(done)
        for count, result in enumerate(_results(model, lines, settings, done), done + 1):
            out.write(result)
            out.flush()
            progress.show(count)
    yield from ()


def _lines_of(source: Path) -> list[bytes]:
    """The lines of the input that are not blank."""
    with source.open("rb") as stream:
        return [line.rstrip(b"\r\n") for line in stream if line.strip()]


def _resume(target: Path, lines: Sequence[bytes], settings: Settings) -> int:
    """How many rows a run before has written; what it has written of another one is cut off.

    Raises:
        ParameterError: a result is of another row, or of other flags.
    """
    whole = count = 0
    with target.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            result: Any = None
            with suppress(ValueError, RecursionError):
                result = json.loads(line)
            fits = (
                isinstance(result, dict)
                and count < len(lines)
                and result.get("index") == count
                and result.get("key") == settings.key_of(lines[count])
            )
            if not fits:
                expected = "results of these rows with these flags, or --overwrite"
                raise ParameterError(f"{target}, line {count + 1}", line[:80], expected)
            count += 1
            whole += len(line)
    if target.stat().st_size > whole:
        os.truncate(target, whole)
    return count


def _results(
    model: LanguageModel, lines: Sequence[bytes], settings: Settings, done: int
) -> Iterator[bytes]:
    """The results of the rows behind those that are done.

    The logits of a row may depend, in their last digits, on the rows that run beside it. So rows
    run in groups that are the same in every run, and one that was interrupted is run again.
    """
    group = settings.batch_size * _ROUNDS
    for first in range(done - done % group, len(lines), group):
        numbered = enumerate(lines[first : first + group], first)
        # What has been written is made again, and is the same.
        yield from islice(_answers(model, numbered, settings), max(0, done - first), None)


def _answers(
    model: LanguageModel, lines: Iterator[tuple[int, bytes]], settings: Settings
) -> Iterator[bytes]:
    """The results of a group of rows, in their order, each as soon as those before it are there."""
    engine = Engine(model, max_batch_size=settings.batch_size)
    waiting: list[tuple[Row | bytes, bytes, Generation | None]] = []
    for index, line in lines:
        try:
            read = read_row(index, line, model, settings)
            waiting.append((read, line, engine.submit(read.request)))
        except DecodingError as error:
            waiting.append((error_line(index, line, settings, error), line, None))
    if any(isinstance(row, Row) and row.shows_logprobs for row, *_ in waiting):
        # Until these are ready, others draw the same tokens, with other last digits of logprobs.
        with suppress(MissingDependencyError):
            warmup()
    for row, line, generation in waiting:
        if generation is None or not isinstance(row, Row):
            assert isinstance(row, bytes)
            yield row
            continue
        while not generation.done:
            engine.step()
        try:
            yield row.line(generation.result())
        except DecodingError as error:
            yield error_line(row.index, line, settings, error)
