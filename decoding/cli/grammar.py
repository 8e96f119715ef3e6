"""The flags for grammars, and the command `decoding grammar check`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from decoding.cli.files import read_json, read_utf8
from decoding.errors import DecodingError, ParameterError, require
from decoding.request_grammar import Formats, Grammar, OnUnsupported
from decoding.typing import Anything
from decoding.vocabulary import Vocabulary

if TYPE_CHECKING:  # most runs of the command have no grammar
    from decoding.grammar import Matcher
    from decoding.grammar.schema import Remark

_SHOWN = 8
_STYLE = ("whitespace", "indent", "key_order", "digits", "nesting")


def add_grammar_flags(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the flags that name a grammar to a parser; at most one of them may be used."""
    group = parser.add_argument_group("grammars").add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--json-schema",
        metavar="FILE",
        help="a JSON Schema that the text is valid under ('-': stdin)",
    )
    group.add_argument(
        "--regex", metavar="PATTERN", help="a regular expression that the whole text matches"
    )
    group.add_argument("--ebnf", metavar="FILE", help="a grammar in llama.cpp's GBNF")
    group.add_argument("--lark", metavar="FILE", help="a grammar in a notation like Lark's")
    _add_schema_flags(parser)


def _add_schema_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that go with `--json-schema` to a parser; unused ones are not set."""
    group = parser.add_argument_group("JSON Schemas")
    unset = argparse.SUPPRESS
    group.add_argument(
        "--on-unsupported",
        choices=get_args(OnUnsupported),
        default=unset,
        help="conditions that masks cannot enforce: refuse the schema ('raise', default) or"
        " ignore them",
    )
    group.add_argument(
        "--formats",
        choices=get_args(Formats),
        default=unset,
        help="the meaning of `format` (default: known)",
    )
    group.add_argument(
        "--resource",
        metavar="URI=FILE",
        action="append",
        default=unset,
        help="a document that `$ref` refers to; repeatable",
    )
    group.add_argument(
        "--whitespace",
        choices=("readable", "free", "compact", "spaced"),
        default=unset,
        help="white space between JSON tokens (default: readable, which is none, a space, or a"
        " newline and spaces)",
    )
    group.add_argument(
        "--indent",
        type=int,
        metavar="N",
        default=unset,
        help="indent as Python's json.dumps(indent=N)",
    )
    group.add_argument(
        "--key-order",
        choices=("any", "declared"),
        default=unset,
        help="order of the properties that the schema declares (default: any)",
    )
    group.add_argument(
        "--digits",
        type=_bound,
        metavar="N",
        default=unset,
        help="largest number of digits, or any (default: 4300)",
    )
    group.add_argument(
        "--nesting",
        type=_bound,
        metavar="N",
        default=unset,
        help="largest depth of nested objects and arrays, or any (default: 200)",
    )


def _bound(text: str) -> int | None:
    return None if text == "any" else int(text)


def read_grammar(asked: argparse.Namespace) -> Grammar | None:
    """Make the `Grammar` that the flags of `add_grammar_flags` name; None if none is used.

    Raises:
        ParameterError: a file is no UTF-8, or no JSON object where it should be one.
        OSError: it cannot be read.
    """
    options = _schema_options(asked)
    if asked.json_schema is not None:
        return Grammar("json", read_utf8("--json-schema", asked.json_schema), **options)
    for name, value in options.items():
        raise ParameterError(name, value, "left out without --json-schema")
    if asked.regex is not None:
        return Grammar("regex", asked.regex)
    if asked.ebnf is not None:
        return Grammar("gbnf", read_utf8("--ebnf", asked.ebnf))
    if asked.lark is not None:
        return Grammar("lark", read_utf8("--lark", asked.lark))
    return None


def _schema_options(asked: argparse.Namespace) -> dict[str, Any]:
    """Read the flags of `_add_schema_flags` as arguments of a `Grammar`."""
    given = vars(asked)
    found: dict[str, Any] = {
        name: given[name] for name in ("on_unsupported", "formats") if name in given
    }
    style = {name: given[name] for name in _STYLE if name in given}
    if style:
        from decoding.grammar.json_style import JsonStyle

        found["style"] = JsonStyle(**style)
    if "resource" in given:
        found["resources"] = dict(map(_resource, given["resource"]))
    return found


def _resource(text: str) -> tuple[str, object]:
    uri, separator, path = text.rpartition("=")
    require("--resource", text, bool(separator and uri and path), "URI=FILE")
    return uri, read_json("--resource", path)


def add_grammar(commands: Anything) -> None:  # argparse names no public type
    """Add the command `grammar`."""
    parser = commands.add_parser(
        "grammar", help="check a grammar", description="Work with grammars; no model is loaded."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_check(verbs)


def _add_check(verbs: Anything) -> None:
    parser = verbs.add_parser(
        "check",
        help="compile a grammar and test a text",
        description="Compile a grammar, list the valid texts that it never produces, and tell how"
        " far a text fits. Exit codes: 1 a text does not fit, 2 the grammar is wrong.",
    )
    add_grammar_flags(parser, required=True)
    parser.add_argument(
        "--ignore-unsupported",
        action="store_const",
        const="ignore",
        dest="on_unsupported",
        default=argparse.SUPPRESS,
        help="the same as --on-unsupported ignore",
    )
    parser.add_argument("--text", metavar="FILE", help="the text to test; '-' reads stdin")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_check)


def _check(asked: argparse.Namespace) -> Iterator[str]:
    # Imported here because most runs of the command have no grammar.
    from decoding.grammar import Machine, token_table
    from decoding.models.grammars import compiled

    grammar = read_grammar(asked)
    assert grammar is not None  # ours: the parser requires one
    # Every byte is a token, and one more ends the text.
    machine = Machine(
        token_table(Vocabulary([bytes([byte]) for byte in range(256)] + [b""]), [256])
    )
    started = time.perf_counter()
    made = compiled(grammar, machine)
    facts: dict[str, Any] = {
        "compile_ms": round(1e3 * (time.perf_counter() - started), 1),
        "restrictions": [_told(remark) for remark in made.restrictions],
        "dropped": [_told(remark) for remark in made.dropped],
    }
    if asked.text is not None:
        facts["text"] = _tested(made.matcher(), read_utf8("--text", asked.text).encode())
    yield (json.dumps(facts, ensure_ascii=False) if asked.json else "\n".join(_lines(facts))) + "\n"
    if asked.text is not None and not facts["text"]["fits"]:
        raise DecodingError("the text does not fit the grammar")


def _tested(matcher: Matcher, text: bytes) -> dict[str, Any]:
    """Report how far a text fits, and which tokens are allowed after that."""
    from decoding.grammar.tokens.table import allows

    count = matcher.count_allowed(text)
    for byte in text[:count]:
        matcher.advance(byte)
    fits = count == len(text) and matcher.is_accepting
    words = matcher.mask()
    expected = [bytes([byte]) for byte in range(256) if allows(words, byte)]
    return {
        "fits": fits,
        "bytes_that_fit": count,
        "complete": fits,
        "expected_next": [repr(byte)[1:] for byte in expected],
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"compiled in {facts['compile_ms']} ms"
    for name, title in (("restrictions", "never produced"), ("dropped", "not enforced")):
        yield f"{title}: {'-' if not facts[name] else ''}".rstrip()
        yield from (f"  {told['where']} {told['keyword']}: {told['why']}" for told in facts[name])
    if "text" not in facts:
        return
    text = facts["text"]
    if text["fits"]:
        yield "text: fits"
        return
    shown = " ".join(text["expected_next"][:_SHOWN])
    more = " ..." if len(text["expected_next"]) > _SHOWN else ""
    yield f"text: fits for {text['bytes_that_fit']} bytes; then expected {shown}{more}"


def _told(remark: Remark) -> dict[str, str]:
    return {
        "where": remark.where or "the root",
        "keyword": remark.keyword,
        "why": remark.sentence,
    }
