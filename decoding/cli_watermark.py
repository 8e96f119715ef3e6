"""`decoding watermark detect`: is a text watermarked?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from decoding.errors import ParameterError
from decoding.models import LanguageModel, load
from decoding.models.fetch import KNOWN_MODELS
from decoding.watermark import (
    Detection,
    Scheme,
    detect,
    lefthash,
    minhash,
    philox,
    selfhash,
    skipgram,
    tgi,
    transformers_selfhash,
)

SCHEMES: Mapping[str, Callable[..., Scheme]] = MappingProxyType(
    {
        "tgi": tgi,
        "lefthash": lefthash,
        "selfhash": selfhash,
        "minhash": minhash,
        "skipgram": skipgram,
        "transformers-selfhash": transformers_selfhash,
        "philox": philox,
    }
)
"""The presets by their names on the command line; the first is the default."""

_WITH_A_WIDTH = ("lefthash", "transformers-selfhash", "philox")


def add_watermark(commands: Any) -> None:  # noqa: ANN401 -- argparse names no public type
    """Give the command the verb `watermark`."""
    parser = commands.add_parser(
        "watermark", help="detect a watermark", description="Work with watermarked text."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_detect(verbs)


def _add_detect(verbs: Any) -> None:  # noqa: ANN401
    parser = verbs.add_parser(
        "detect",
        help="is a text watermarked?",
        description="Count the green tokens of a text. Flagging texts whose p_value is at most A"
        " flags at most a share A of those that are not watermarked.",
    )
    parser.add_argument("file", metavar="FILE", help="UTF-8 text; '-' reads stdin")
    kinds = f"{', '.join(KNOWN_MODELS)}, a .gguf file, or a folder"
    parser.add_argument(
        "--model", metavar="NAME|FILE|DIR", help=f"{kinds}; default: as for generate"
    )
    first = next(iter(SCHEMES))
    parser.add_argument(
        "--scheme", choices=SCHEMES, default=first, help=f"how it was embedded (default: {first})"
    )
    parser.add_argument("--gamma", type=float, metavar="G", help="green share (default: scheme's)")
    parser.add_argument("--key", type=int, metavar="N", help="default: the scheme's public one")
    parser.add_argument(
        "--context-width", type=int, metavar="N", help=f"for {', '.join(_WITH_A_WIDTH)}"
    )
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help="of the lists (default: the model's logits)"
    )
    parser.add_argument(
        "--token-ids",
        action="store_true",
        help="FILE is a JSON array of ids, exact where a text's tokens are a guess; with"
        " --vocab-size no model is loaded",
    )
    parser.add_argument(
        "--window",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="look for the greenest stretch of N tokens too; repeatable",
    )
    parser.add_argument(
        "--count-repeats", action="store_true", help="count repeated n-grams, as transformers does"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=_detect)


def _detect(asked: argparse.Namespace) -> Iterator[str]:
    scheme = _scheme(asked)
    text = _read(asked.file)
    model = None
    if not asked.token_ids or asked.vocab_size is None:
        model = load(asked.model)
    found = detect(
        _token_ids(text) if asked.token_ids else _encode(text, model),
        scheme,
        asked.vocab_size if asked.vocab_size is not None else _width(model),
        counts_repeats=asked.count_repeats,
        window_sizes=asked.window,
    )
    facts = _facts(found)
    yield (json.dumps(facts) if asked.json else "\n".join(_lines(facts))) + "\n"


def _scheme(asked: argparse.Namespace) -> Scheme:
    if asked.scheme == "tgi" and asked.context_width is None:
        scheme = tgi()
        return replace(
            scheme,
            gamma=scheme.gamma if asked.gamma is None else asked.gamma,
            key=scheme.key if asked.key is None else asked.key,
        )
    given = {"gamma": asked.gamma, "key": asked.key, "context_width": asked.context_width}
    if asked.context_width is not None and asked.scheme not in _WITH_A_WIDTH:
        expected = f"used with one of {', '.join(_WITH_A_WIDTH)}"
        raise ParameterError("--context-width", asked.context_width, expected)
    options = {name: value for name, value in given.items() if value is not None}
    return SCHEMES[asked.scheme](**options)


def _read(argument: str) -> str:
    try:
        written = sys.stdin.buffer.read() if argument == "-" else Path(argument).read_bytes()
        return written.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ParameterError("FILE", error.object[error.start :][:1], "UTF-8") from error


def _token_ids(text: str) -> list[int]:
    try:
        token_ids = json.loads(text)
    except ValueError:
        token_ids = None
    if not isinstance(token_ids, list) or not all(type(item) is int for item in token_ids):
        raise ParameterError("FILE", text[:20], "a JSON array of token ids")
    return token_ids


def _encode(text: str, model: LanguageModel | None) -> list[int]:
    if model is None or model.tokenizer is None:
        raise ParameterError("--model", None, "one with a tokenizer")
    return model.tokenizer.encode(text, add_special_tokens=False)


def _width(model: LanguageModel | None) -> int:
    if model is not None and model.logits_width is not None:
        return model.logits_width
    raise ParameterError("--vocab-size", None, "given, since the model states no width of logits")


def _facts(found: Detection) -> dict[str, Any]:
    facts = asdict(found)
    facts["fraction"] = found.fraction
    return {name: facts[name] for name in (*_SHOWN, "window", "colours")}


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    for name in _SHOWN:
        yield f"{name}: {facts[name]:.6g}"
    for name, value in (facts["window"] or {}).items():
        yield f"window.{name}: {value:.6g}"


_SHOWN = ("scored", "green", "fraction", "z", "p_value")
