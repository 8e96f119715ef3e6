"""`decoding batch`: answers a file of requests; a run that was killed resumes where it stopped."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

from decoding.cli.batch_rows import Row, Settings, error_line, is_result, read_row
from decoding.cli.files import (
    MOST_BYTES,
    check_written,
    is_regular,
    open_results,
    open_to_read,
)
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
    parameters = read_flags(asked)
    lines = _lines_of(asked.source)
    with open_results("OUT.jsonl", asked.target) as target:
        is_input = Path(asked.source).samefile(asked.target)
        require("OUT.jsonl", asked.target, not is_input, "another file than IN.jsonl")
        model = load(asked)
        settings = Settings(parameters, size, asked.adapters, model.fingerprint)
        if asked.overwrite and is_regular(target):
            target.truncate(0)
        written = _written(target, asked.target, lines, settings)
        progress = Progress(
            len(lines), "{} of {} rows".format, bar={"unit": "row"}, wanted=asked.progress
        )
        with progress:
            progress.show(len(written))
            for index, result in _results(model, lines, settings, len(written)):
                if index >= len(written):
                    target.write(result)
                    target.flush()
                    progress.show(index + 1)
                elif result != written[index]:
                    raise _refusal(asked.target, index, written[index])
    yield from ()


def _lines_of(source: str) -> list[bytes]:
    """The lines of the input that are not blank.

    Raises:
        ParameterError: a line has more than `MOST_BYTES` bytes, or it is a pipe that nothing
            came out of.
        OSError: it cannot be read.
    """
    lines: list[bytes] = []
    with open_to_read(source) as stream:
        for number in count(1):
            line = stream.readline(MOST_BYTES + 1)
            if not line:
                break
            if len(line) > MOST_BYTES:
                place = f"{source}, line {number}"
                raise ParameterError(place, line[:80], f"a line of at most {MOST_BYTES} bytes")
            if line.strip():
                lines.append(line.rstrip(b"\r\n"))
        check_written(stream, "IN.jsonl", source, is_empty=not lines)
    return lines


def _written(
    target: BinaryIO, name: str, lines: Sequence[bytes], settings: Settings
) -> list[bytes]:
    """Read the results of an earlier run from the output; truncate a line that was not finished.

    Raises:
        ParameterError: a line is no result of its row with these flags and this model.
    """
    written: list[bytes] = []
    if not is_regular(target):  # what a pipe or a terminal was given is gone
        return written
    target.seek(0)
    size = 0
    for line in target:
        if not line.endswith(b"\n"):
            break
        index = len(written)
        if index >= len(lines) or not is_result(line, index, lines[index], settings):
            raise _refusal(name, index, line)
        written.append(line)
        size += len(line)
    target.truncate(size)
    target.seek(size)
    return written


def _refusal(target: str, index: int, line: bytes) -> ParameterError:
    expected = "the result of its row with these flags and this model, or --overwrite"
    return ParameterError(f"{target}, line {index + 1}", line[:80], expected)


def _results(
    model: LanguageModel, lines: Sequence[bytes], settings: Settings, done: int
) -> Iterator[tuple[int, bytes]]:
    """Yield index and result of each row, from the group on that holds the first unwritten row.

    The logits of a row may depend, in their last digits, on the rows that run beside it. So rows
    run in groups that are the same in every run, and one that was interrupted is run again.
    """
    group = settings.batch_size * _ROUNDS
    begin = len(lines) if done == len(lines) else done - done % group
    for first in range(begin, len(lines), group):
        numbered = enumerate(lines[first : first + group], first)
        yield from enumerate(_answers(model, numbered, settings), first)


def _answers(
    model: LanguageModel, lines: Iterator[tuple[int, bytes]], settings: Settings
) -> Iterator[bytes]:
    """The results of a group of rows, in their order, each as soon as those before it are there."""
    engine = Engine(model, max_batch_size=settings.batch_size)
    waiting: list[tuple[Row | bytes, bytes, Generation | None]] = []
    for index, line in lines:
        try:
            read = read_row(index, line, model, settings)
            waiting.append((read, line, engine.submit(replace(read.request, raw=False))))
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
