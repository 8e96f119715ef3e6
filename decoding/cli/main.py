"""The `decoding` command: parses arguments, runs a subcommand, returns an exit code.

stdout carries the result and nothing else; an error is one line on stderr. Exit codes: 0 done,
1 generation or loading failed, 2 the input is wrong, 130 Ctrl-C, 141 stdout was closed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from typing import NoReturn

from decoding._version import __version__
from decoding.bounded_repr import bounded
from decoding.cache import cache_folder
from decoding.cli.audit import add_audit
from decoding.cli.batch import add_batch
from decoding.cli.chat import add_chat_flags, check_chat_flags, read_prompt
from decoding.cli.chat_session import add_chat
from decoding.cli.files import is_regular, open_results, read_line
from decoding.cli.flags import add_flags, read_flags
from decoding.cli.grammar import add_grammar, add_grammar_flags
from decoding.cli.lengths import default_length
from decoding.cli.model_flags import add_adapters_flag, add_model_flag
from decoding.cli.serve import add_serve
from decoding.cli.warmup import add_warmup
from decoding.cli.watermark import add_watermark
from decoding.engine.request import Request, plan
from decoding.errors import (
    DecodingError,
    GrammarError,
    ParameterError,
    ShapeError,
    UnsupportedFeatureError,
    require,
)
from decoding.generate import generate, stream
from decoding.models import LanguageModel, load
from decoding.models.fetch import KNOWN_MODELS, KnownModel, fetch
from decoding.typing import Anything
from decoding.wire.details import Response, StreamEvent

FAILED, WRONG_INPUT, INTERRUPTED, STDOUT_CLOSED = 1, 2, 130, 141

_PACKAGES = ("numpy", "numba", "tokenizers", "torch", "safetensors", "jinja2", "transformers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, `sys.argv` by default; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file may be of any bytes; it is written as it is.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    is_closed = sys.stdout is None
    _open_missing_streams()
    asked = _parser().parse_args(arguments)
    try:
        for text in asked.run(asked):
            if is_closed:
                return STDOUT_CLOSED
            sys.stdout.write(text)
            sys.stdout.flush()
    except (ParameterError, UnsupportedFeatureError, ShapeError, GrammarError) as error:
        return _complain(str(error), WRONG_INPUT)
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends; that must find an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STDOUT_CLOSED
    except (DecodingError, OSError) as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _open_missing_streams() -> None:
    """Open the null device for each standard stream that was closed before the command began."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 -- until the end


def _complain(problem: str, code: int) -> int:
    with suppress(OSError):  # the code says it, too
        sys.stderr.write(f"decoding: error: {bounded(' '.join(problem.split()))}\n")
        sys.stderr.flush()
    return code


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and which takes no abbreviated flags."""

    def __init__(self, **options: Anything) -> None:  # argparse's own
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Exit with the code for wrong input."""
        sys.exit(_complain(message, WRONG_INPUT))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="decoding",
        description="Generate text with a language model, check grammars and detect watermarks.",
        epilog="Exit codes: 0 done, 1 generation or loading failed, 2 wrong input.",
    )
    parser.add_argument("--version", action="version", version=f"decoding {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_generate(commands)
    add_chat(commands, _load)
    add_batch(commands, _load)
    add_grammar(commands)
    add_watermark(commands)
    add_audit(commands, _load)
    add_serve(commands)
    _add_fetch(commands)
    add_warmup(commands)
    _add_info(commands)
    return parser


def _add_generate(commands: Anything) -> None:  # argparse names no public type
    parser = commands.add_parser(
        "generate",
        help="generate text from a prompt",
        description="Generate text from a prompt. Greedy unless a sampling parameter is given.",
    )
    parser.add_argument(
        "prompt",
        metavar="PROMPT",
        help="the prompt; '-' reads UTF-8 from stdin and removes one final line end",
    )
    add_model_flag(parser, "default: $DECODING_MODEL, else the first name")
    add_adapters_flag(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the JSON of TGI's /generate, with details"
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="print text as it is generated; with --json, one event a line",
    )
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="also write the response with what made it, for score, replay and verify",
    )
    add_chat_flags(parser)
    add_flags(parser.add_argument_group("request parameters, named as in the API"))
    add_grammar_flags(parser)
    parser.set_defaults(run=_generate)


def _add_fetch(commands: Anything) -> None:
    parser = commands.add_parser(
        "fetch",
        help="download a model",
        description="Download a known model into the cache, unless it is there; print its path.",
    )
    first = next(iter(KNOWN_MODELS))
    known = ", ".join(KNOWN_MODELS)
    parser.add_argument(
        "name", nargs="?", default=first, metavar="NAME", help=f"{known} (default: {first})"
    )
    parser.set_defaults(run=_fetch)


def _add_info(commands: Anything) -> None:
    parser = commands.add_parser(
        "info",
        help="print versions and downloaded models",
        description="Print versions, the cache folder and which known models are in it.",
    )
    add_model_flag(parser, "load it and tell about it too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_info)


def _generate(asked: argparse.Namespace) -> Iterator[str]:
    parameters = read_flags(asked, details=asked.json)
    check_chat_flags(asked)
    require("--record", asked.record, not (asked.record and asked.stream), "left out with --stream")
    text = _read_prompt(asked.prompt)
    model = _load(asked)
    prompt = read_prompt(asked, model, text)
    if parameters.max_new_tokens is None:
        parameters = replace(parameters, max_new_tokens=default_length(model, prompt, parameters))
    if not asked.stream:
        response = _recorded(asked.record, lambda: generate(model, prompt, parameters))
        yield (response.to_json() if asked.json else response.generated_text) + "\n"
        return
    events = stream(model, prompt, parameters)
    if asked.json:
        yield from (event.to_json() + "\n" for event in events)
    else:
        yield plan(Request(prompt, parameters), model).prompt_text
        yield from _texts(events)


def _recorded(target: str | None, make: Callable[[], Response]) -> Response:
    """Return the response of `make`, with its record written to a file that is opened first."""
    if target is None:
        return make()
    with open_results("--record", target) as file:
        response = make()
        if is_regular(file):
            file.truncate(0)
        file.write(json.dumps(response.to_record(), ensure_ascii=False).encode() + b"\n")
    return response


def _texts(events: Iterable[StreamEvent]) -> Iterator[str]:
    try:
        for event in events:
            yield event.text
    except DecodingError:
        yield "\n"
        raise
    yield "\n"


def _read_prompt(argument: str) -> str:
    text = read_line("stdin", argument) if argument == "-" else argument
    if not text:
        raise ParameterError("PROMPT", text, "at least one character")
    return text


def _load(asked: argparse.Namespace) -> LanguageModel:
    if sys.stderr.isatty():
        sys.stderr.write("loading the model ...\n")
    # GNU's OpenMP reads this when torch is imported. Threads that find nothing to do look out for
    # work for some milliseconds else, which takes most of the processor's time on a busy machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    adapters = getattr(asked, "adapters", None)  # not every command has the flag
    return load(asked.model) if adapters is None else load(asked.model, adapters=adapters)


def _fetch(asked: argparse.Namespace) -> Iterator[str]:
    yield f"{fetch(asked.name)}\n"


def _info(asked: argparse.Namespace) -> Iterator[str]:
    facts: dict[str, object] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _installed(name) for name in _PACKAGES},
        "cache": str(cache_folder()),
        "known_models": {name: _fetched(model) for name, model in KNOWN_MODELS.items()},
    }
    if asked.model is not None:
        facts["model"] = _model_facts(_load(asked))
    yield (json.dumps(facts, ensure_ascii=False) if asked.json else "\n".join(_lines(facts))) + "\n"


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fetched(model: KnownModel) -> str | None:
    path = cache_folder() / model.file_name
    return str(path) if path.is_file() and path.stat().st_size == model.file_size else None


def _model_facts(model: LanguageModel) -> dict[str, object]:
    vocabulary = None if model.tokenizer is None else model.tokenizer.vocabulary
    return {
        "name": model.name,
        "vocabulary_size": None if vocabulary is None else len(vocabulary),
        "context_length": model.context_length,
        "eos_token_ids": sorted(model.eos_token_ids),
        "chat_template": model.chat_template is not None,
    }


def _lines(facts: dict[str, object]) -> Iterator[str]:
    """Format facts as lines `name: value`; nested facts are indented."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(value))
        else:
            yield f"{name}: {'-' if value is None else value}"
