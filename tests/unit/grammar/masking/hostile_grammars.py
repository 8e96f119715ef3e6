"""Grammars that try to take all time or memory; run as a program, one of them, by its name.

Prints what came of it: "compiled" with the tokens that were taken, or the kind of error.
"""

from __future__ import annotations

import functools
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from decoding.errors import GrammarError
from decoding.grammar import (
    Machine,
    TokenGrammar,
    compile_choices,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
    token_table,
    warmup,
)
from decoding.grammar.spans import GrammarSpan, SpanGrammar
from decoding.vocabulary import Vocabulary

MANY = 10**5
PIECES = ['{"', '":', '",', '"}', "aa", "ab", "abab", 'a"', "word", "[[", "]]", "k1", "12"]
SPELLED = [*(bytes([byte]) for byte in range(256)), *(piece.encode() for piece in PIECES), b""]
END = len(SPELLED) - 1
TOKENS = 60

Compile = Callable[[Machine], TokenGrammar]


def schema(document: Any) -> Compile:
    return lambda machine: compile_json_schema(document, machine)


def pattern(text: str) -> Compile:
    return lambda machine: compile_regex(text, machine)


def gbnf(text: str) -> Compile:
    return lambda machine: compile_gbnf(text, machine)


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    return functools.reduce(lambda inside, _: wrap(inside), range(levels), {})


HUGE: dict[str, Callable[[], Compile]] = {
    "required keys": lambda: schema({"required": [f"k{n}" for n in range(MANY)]}),
    "properties": lambda: schema({"properties": {f"k{n}": {} for n in range(MANY)}}),
    "words of an enum": lambda: schema({"enum": [f"word{n}" for n in range(MANY)]}),
    "choices": lambda: lambda machine: compile_choices([f"w{n}" for n in range(MANY)], machine),
    "alternatives of a pattern": lambda: pattern("|".join(f"w{n}" for n in range(MANY))),
    "alternatives of a rule": lambda: gbnf(
        "root ::= " + " | ".join(f'"w{n}"' for n in range(MANY))
    ),
    "characters of a pattern": lambda: pattern("a" * 10**6),
    "characters of a schema's pattern": lambda: schema({"pattern": "[ab]c?" * 200_000}),
    "characters of a rule": lambda: gbnf('root ::= "' + "a" * 10**6 + '"'),
    "rules": lambda: gbnf(
        "root ::= r0\n" + "\n".join(f'r{n} ::= "a" r{n + 1} | "b"' for n in range(MANY))
    ),
    "groups in one another": lambda: pattern("(" * MANY + "a" + ")" * MANY),
    "brackets in one another": lambda: gbnf("root ::= " + "(" * MANY + '"a"' + ")" * MANY),
    "schemas in one another": lambda: schema(nested(10_000, lambda inside: {"items": inside})),
}
HOSTILE: dict[str, Callable[[], Compile]] = {
    "exponential automaton": lambda: pattern("(a|b)*a(a|b){200}"),
    "exponential automaton in a string": lambda: schema({"pattern": "a.{200}$"}),
    "stars in one another": lambda: pattern("((((a*)*)*)*)*"),
    "counts in one another": lambda: pattern("(a{1,1000}){1,1000}"),
    "three counts in one another": lambda: pattern("((a{1,100}){1,100}){1,100}"),
    "large sets counted": lambda: pattern(r"(?i:[\p{L}]{1,100}){1,100}"),
    "exponential look-aheads": lambda: pattern("(?:(?!a.{16}b).)*"),
    "long look-behinds": lambda: pattern("(?:(?<=(?:a|b){1,200})c)*"),
    "several nestings": lambda: gbnf('root ::= "a" root "b" | "aa" root "b" | "c"'),
    "ambiguity": lambda: gbnf('root ::= root root | "a"'),
    "ambiguity of three": lambda: gbnf('root ::= root root root | root root | "a" | ""'),
    "palindromes": lambda: gbnf('root ::= "a" root "a" | "b" root "b" | "a" | "b" | ""'),
    "empty cycles": lambda: gbnf('root ::= a b a\na ::= b | ""\nb ::= a | "x" | ""'),
    "left recursion of all rules": lambda: gbnf(
        "root ::= r0\n" + "\n".join(f'r{n} ::= r{(n + 1) % 200} "a" | "b"' for n in range(200))
    ),
    "doubling rules": lambda: gbnf(
        "\n".join(
            ["root ::= r0", *(f"r{n} ::= r{n + 1} r{n + 1}" for n in range(60)), 'r60 ::= "a"']
        )
    ),
    "rules that are ambiguous together": lambda: gbnf(
        "\n".join(
            [
                "root ::= r0",
                *(f'r{n} ::= r{(n + 1) % 300} r{(n + 2) % 300} | "a"' for n in range(300)),
            ]
        )
    ),
    "chains of ambiguous rules": lambda: gbnf(
        "\n".join(
            ["root ::= r0"]
            + [f'r{n} ::= r{(n + 1) % 300} | r{(n + 2) % 300} r{n} | "a"' for n in range(300)]
        )
    ),
    "a counted rule": lambda: gbnf('root ::= "a"{100000}'),
    "a recursive Lark grammar": lambda: (
        lambda machine: compile_lark('start: start start | "(" start ")" |', machine)
    ),
    "allOf in one another": lambda: schema(nested(10_000, lambda inside: {"allOf": [inside]})),
    "a loop of references": lambda: schema(
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    ),
    "a long string": lambda: schema({"type": "string", "maxLength": 10**6}),
    "a long array": lambda: schema({"type": "array", "maxItems": 10**6}),
    "a large step": lambda: schema({"type": "integer", "multipleOf": 10**30 + 1}),
    "several steps": lambda: schema({"allOf": [{"multipleOf": n} for n in (997, 991, 983, 977)]}),
    "a wide range": lambda: schema({"type": "number", "minimum": -(10**300), "maximum": 1e-300}),
    "patterns of keys that overlap": lambda: schema(
        {"patternProperties": {f"{c}.{{{n}}}x": {"minimum": n} for n, c in enumerate("abcdefghij")}}
    ),
    "many patterns of keys": lambda: schema(
        {"patternProperties": {f"^k{n}": {"minimum": n} for n in range(500)}}
    ),
    "patterns that must not match": lambda: schema(
        {"allOf": [{"not": {"pattern": f"a.{{{n}}}b"}} for n in range(20)]}
    ),
    "items that differ": lambda: schema({"type": "array", "uniqueItems": True, "minItems": 10**5}),
    "conditions on items": lambda: schema(
        {"type": "array", "allOf": [{"contains": {"const": n}} for n in range(20)]}
    ),
    "keys that need others": lambda: schema(
        {"dependentRequired": {f"a{n}": [f"b{m}" for m in range(100)] for n in range(100)}}
    ),
    "alternatives that begin alike": lambda: schema(
        {
            "$defs": {
                "n": {
                    "anyOf": [
                        {"properties": {f"k{n}": {"$ref": "#/$defs/n"}}, "required": [f"k{n}"]}
                        for n in range(100)
                    ]
                }
            },
            "$ref": "#/$defs/n",
        }
    ),
}

MOST = 2_000
LEAVES: dict[str, Callable[[int], Any]] = {
    "lengths": lambda i: {"type": "string", "minLength": 3 * i, "maxLength": 3 * i + 1},
    "patterns": lambda i: {"type": "string", "pattern": f"w{i}x"},
    "formats": lambda i: {"format": ["date", "uuid", "ipv6", "uri"][i % 4], "minLength": i},
    "multiples": lambda i: {"type": "integer", "multipleOf": i + 2},
    "arrays": lambda i: {"type": "array", "minItems": 3 * i, "maxItems": 3 * i + 1},
    "first items": lambda i: {"prefixItems": [{"const": i}], "minItems": 1},
    "items": lambda i: {"type": "array", "contains": {"const": i}},
    "tags": lambda i: {"properties": {"t": {"const": f"t{i}"}}, "required": ["t"]},
    "keys": lambda i: {"type": "object", "required": [f"k{i}"]},
    "patterns of keys": lambda i: {
        "type": "object",
        "patternProperties": {f"^k{i}": {"type": "null"}},
    },
}
COMBINED: dict[str, Callable[[list[Any]], Any]] = {
    "one of": lambda leaves: {"oneOf": leaves},
    "any of": lambda leaves: {"anyOf": leaves},
    "not one of": lambda leaves: {"not": {"oneOf": leaves}},
    "none of": lambda leaves: {"allOf": [{"not": leaf} for leaf in leaves]},
    "not all of": lambda leaves: {"anyOf": [{"not": leaf} for leaf in leaves]},
    "conditions": lambda leaves: functools.reduce(
        lambda rest, leaf: {"if": leaf, "then": {"maxLength": 9}, "else": rest}, leaves[:200], {}
    ),
}
"""What 2,000 schemas of one kind are combined to, by every keyword that combines schemas."""


def combined(name: str) -> Compile:
    how, what = name.split(": ")
    return schema(COMBINED[how]([LEAVES[what](i) for i in range(MOST)]))


FAMILIES: dict[str, Callable[[], Compile]] = {
    f"{how}: {what}": functools.partial(combined, f"{how}: {what}")
    for how in COMBINED
    for what in LEAVES
}
FURTHER: dict[str, Callable[[], Compile]] = {
    "words of eight million characters": lambda: schema(
        {"enum": [f"{n * 7919 % 1000003:x}" * 8 for n in range(200_000)]}
    ),
    "a long array of one value": lambda: schema({"const": [0] * 200_000}),
    "not a long array": lambda: schema({"not": {"const": [n % 3 for n in range(20_000)]}}),
    "arrays in one another in an enum": lambda: schema(
        {"enum": [nested(n % 200, lambda inside: [inside]) for n in range(3_000)]}
    ),
    "conditions in one another": lambda: schema(
        functools.reduce(
            lambda inside, n: {"if": inside, "then": {"pattern": f"x{n}"}, "else": {"pattern": "y"}},
            range(240),
            {"type": "string"},
        )
    ),
    "ranges of many digits": lambda: schema(
        {"anyOf": [{"type": "integer", "minimum": 10 ** (4 * n) + 7, "maximum": 10 ** (4 * n + 2)}
                   for n in range(1_000)]}
    ),
    "more characters than are counted": lambda: schema({"type": "string", "minLength": 10**100}),
    "ten thousand names": lambda: schema(
        {
            "$id": "http://x/",
            "$defs": {f"d{n}": {"$id": f"d{n}", "$anchor": "a"} for n in range(10_000)},
            "anyOf": [{"$ref": f"d{n}#a"} for n in range(1_000)],
        }
    ),
    "many integers": lambda: schema({"enum": list(range(300_000))}),
    "a property of Unicode again and again": lambda: pattern(r"\p{L}" * 30_000),
    "optional letters in a row": lambda: gbnf("root ::= " + " ".join(["[a-z]?"] * 20_000)),
    "loops in one another": lambda: gbnf("root ::= " + "(" * 5_000 + '"a"' + ")*" * 5_000),
    "loops that read nothing": lambda: pattern("(^|a)*($|b)*" * 1_000),
    "many sets in a rule": lambda: gbnf(
        "root ::= " + " ".join(f"[{chr(0x400 + n)}-{chr(0x700 + n)}]" for n in range(20_000))
    ),
    "alternatives with recursion": lambda: gbnf(
        "root ::= " + " | ".join(f'"{"ab" * (n % 50)}{n}" root' for n in range(20_000))
    ),
    "terminals of terminals": lambda: lambda machine: compile_lark(
        "start: " + " ".join(f"T{n}?" for n in range(300)) + "\n"
        + "\n".join(f'T{n}: T{n + 1} T{n + 1} | "a"' for n in range(300)) + '\nT300: "b"',
        machine,
    ),
}  # fmt: skip


def spans_that_may_be_empty(machine: Machine) -> SpanGrammar:
    span = GrammarSpan(compile_regex("a?", machine), then=tuple(range(60)))
    return SpanGrammar(machine, (span,) * 60)


FURTHER["spans that may be empty"] = lambda: spans_that_may_be_empty


def new_machine() -> Machine:
    return Machine(token_table(Vocabulary(SPELLED, frozenset({END})), [END]))


def followed(compile_: Compile, machine: Machine) -> str:
    """What comes of a grammar: how many tokens of a random text were taken, or the error."""
    try:
        matcher = compile_(machine).matcher()
    except GrammarError as error:
        return type(error).__name__
    rng = random.Random(1)
    for count in range(TOKENS):
        bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
        tokens = [token for token in np.flatnonzero(bits).tolist() if token != END]
        if not tokens:
            return f"compiled {count}"
        if not matcher.advance(rng.choice(tokens)):
            raise AssertionError(count)
    return f"compiled {TOKENS}"


def main(seconds: int, memory: int, names: list[str]) -> None:
    """Run each grammar in a fork, under limits that the kernel of the operating system holds.

    Prints a line of JSON for each: its name, and how it ended.
    """
    import resource

    machine = new_machine()
    # What belongs to no grammar: kernels are compiled or loaded.
    warmup()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    room = pages * resource.getpagesize() + memory
    for name in names:
        reader, writer = os.pipe()
        if not os.fork():
            # Of the time of a processor a fork has used none.
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            try:
                said = followed({**HUGE, **HOSTILE, **FAMILIES, **FURTHER}[name](), machine)
            except BaseException as error:
                said = f"raised {error!r}"
            os.write(writer, said.encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            said = file.read(2_000).decode()
        _, status = os.wait()
        said = said or f"was ended by the signal {os.WTERMSIG(status)}"
        sys.stdout.write(json.dumps([name, said]) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
