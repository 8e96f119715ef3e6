"""The command `decoding watermark detect`: test whether a text is watermarked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from decoding.cli.files import read_line
from decoding.cli.flags import integers
from decoding.cli.model_flags import add_model_flag
from decoding.errors import ParameterError
from decoding.models import LanguageModel, load
from decoding.typing import Anything
from decoding.watermark import (
    Detection,
    GumbelScheme,
    Scheme,
    SynthId,
    detect,
    detect_gumbel,
    detect_synthid,
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

OTHERS = ("synthid", "gumbel")
"""Watermarks that have no green lists."""

_WITH_A_WIDTH = ("lefthash", "transformers-selfhash", "philox", "gumbel")


def add_watermark(commands: Anything) -> None:  # argparse names no public type
    """Add the command `watermark`."""
    parser = commands.add_parser(
        "watermark", help="detect a watermark", description="Work with watermarked text."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_detect(verbs)


def _add_detect(verbs: Anything) -> None:
    parser = verbs.add_parser(
        "detect",
        help="test whether a text is watermarked",
        description="Test whether a text has the watermark of a scheme."
        " Flagging texts whose p_value is at most A flags at most a share A of those that are not"
        " watermarked.",
    )
    parser.add_argument("file", metavar="FILE", help="UTF-8 text; '-' reads stdin")
    add_model_flag(parser, "default: as for generate")
    first = next(iter(SCHEMES))
    parser.add_argument(
        "--scheme",
        choices=(*SCHEMES, *OTHERS),
        default=first,
        help=f"the scheme of the watermark (default: {first})",
    )
    parser.add_argument(
        "--keys", type=integers, metavar="N,N,...", help="the keys of synthid (required)"
    )
    parser.add_argument(
        "--ngram-len", type=int, metavar="N", help="n-gram length of synthid (default: 5)"
    )
    parser.add_argument(
        "--gamma", type=float, metavar="G", help="share of green tokens (default: the scheme's)"
    )
    parser.add_argument(
        "--key",
        type=int,
        metavar="N",
        help="the key (default: the scheme's public key; required for gumbel)",
    )
    parser.add_argument(
        "--context-width",
        type=int,
        metavar="N",
        help=f"context tokens, for {', '.join(_WITH_A_WIDTH)}",
    )
    parser.add_argument(
        "--vocab-size",
        type=int,
        metavar="N",
        help="size of the green lists (default: width of the model's logits)",
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
        help="also test the part of N tokens with most green ones; repeatable",
    )
    parser.add_argument(
        "--count-repeats", action="store_true", help="count repeated n-grams, as transformers does"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_detect)


def _detect(asked: argparse.Namespace) -> Iterator[str]:
    scheme = _other_scheme(asked) if asked.scheme in OTHERS else _scheme(asked)
    text = read_line("FILE", asked.file)
    model = None
    needs_width = isinstance(scheme, Scheme) and asked.vocab_size is None
    if not asked.token_ids or needs_width:
        model = load(asked.model)
    token_ids = _token_ids(text) if asked.token_ids else _encode(text, model)
    facts = _found(token_ids, scheme, model, asked)
    yield (json.dumps(facts) if asked.json else "\n".join(_lines(facts))) + "\n"


def _found(
    token_ids: list[int],
    scheme: Scheme | SynthId | GumbelScheme,
    model: LanguageModel | None,
    asked: argparse.Namespace,
) -> dict[str, Any]:
    if isinstance(scheme, SynthId):
        return asdict(detect_synthid(token_ids, scheme))
    if isinstance(scheme, GumbelScheme):
        return asdict(detect_gumbel(token_ids, scheme))
    found = detect(
        token_ids,
        scheme,
        asked.vocab_size if asked.vocab_size is not None else _width(model),
        counts_repeats=asked.count_repeats,
        window_sizes=asked.window,
    )
    return _facts(found)


def _other_scheme(asked: argparse.Namespace) -> SynthId | GumbelScheme:
    _refuse(asked, ("gamma", "vocab_size", "window", "count_repeats"), "used with green lists")
    if asked.scheme == "synthid":
        _refuse(asked, ("key", "context_width"), "left out with synthid")
        if asked.keys is None:
            raise ParameterError("--keys", None, "given for synthid")
        return SynthId(asked.keys, 5 if asked.ngram_len is None else asked.ngram_len)
    _refuse(asked, ("keys", "ngram_len"), "used with synthid")
    if asked.key is None:
        raise ParameterError("--key", None, "given for gumbel")
    return GumbelScheme(asked.key, 4 if asked.context_width is None else asked.context_width)


def _refuse(asked: argparse.Namespace, names: Iterable[str], expected: str) -> None:
    for name in names:
        value = getattr(asked, name)
        if value is not None and value is not False and value != []:
            raise ParameterError(f"--{name.replace('_', '-')}", value, expected)


def _scheme(asked: argparse.Namespace) -> Scheme:
    _refuse(asked, ("keys", "ngram_len"), "used with synthid")
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
    for name, value in facts.items():
        if isinstance(value, int | float):
            yield f"{name}: {value:.6g}"
    for name, value in (facts.get("window") or {}).items():
        yield f"window.{name}: {value:.6g}"


_SHOWN = ("scored", "green", "fraction", "z", "p_value")
