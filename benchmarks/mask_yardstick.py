"""Masks against an exact oracle, in both directions, for this library, llguidance and xgrammar.

    python -m benchmarks.mask_yardstick [--schemas 1000] [--published 600] [--folder FOLDER]
                                        [--seed 0] [--json FILE]

Schemas are drawn by `decoding.testing.finite_schemas`, or are parts of schemas from packages
(`benchmarks.published_parts`; FOLDER keeps the packages): each has finitely many values, of which
`jsonschema` tells the valid ones. A text is a compact JSON text of a valid value, with the keys of
its objects in any order. After a prefix of a text a token must be in the mask if some text goes on
with it, and must not be if no spelling of a valid value does; a token that begins another spelling
(white space, an escape, `1e0`) is not judged. The end token is judged in the same way.

    over-constraint    a token that must be in the mask and is not
    under-constraint   a token that must not be in the mask and is

For each schema some texts are drawn and cut into tokens at random; the whole mask is compared
before every token and at the end. Every engine is told to write no white space; xgrammar is also
run with `any_order=True`, without which it takes keys in one order only.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jsonschema import validators
from numpy.typing import NDArray

from benchmarks.proof_tables import FOR_NOTHING, mask_table
from benchmarks.published_parts import published_parts
from decoding.grammar import JsonStyle, Machine, compile_json_schema, token_table, warmup
from decoding.testing.finite_schemas import (
    FORBIDDEN,
    REQUIRED,
    ExactMasks,
    FiniteSchema,
    draw_finite_schema,
    texts_of,
)
from decoding.vocabulary import Vocabulary

_PIECES = (
    b'":', b'",', b'"}', b"},", b'{"', b'["', b"[[", b"]]", b'""', b'":"', b"true", b"false",
    b"null", b"tr", b"10", b"12", b"-1", b"1,", b"0]", b"ab", b"ba", b'"a', b'"ab"', b'a"',
    "é".encode(), b'{"a":', b"e0", b".0", b'","', b"[1", b"1]", b"[]", b"{}", b"]}",
)  # fmt: skip
TOKENS: tuple[bytes, ...] = (*(bytes([byte]) for byte in range(256)), *_PIECES)
"""Every byte, and what JSON texts often have in one token."""
END = len(TOKENS)
_TEXTS = 5
"""Texts of a schema that are followed."""
_LONGEST = 60


class Text(Protocol):
    """A text that is followed through a compiled schema."""

    def mask(self) -> NDArray[np.bool_]: ...
    def advance(self, token_id: int) -> bool: ...


Start = Callable[[], Text]
"""Begins a text."""
Compile = Callable[[Mapping[str, Any]], Start]
"""Compiles a schema, and raises where it cannot."""


@dataclass(slots=True)
class Score:
    """What an engine's masks were like.

    schemas are counted by what became of them; tokens where they were judged. kinds: the keywords
    of the schemas with a wrong mask. examples: the first of each direction.
    """

    schemas: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: {"over": [], "under": []})


def unpacked(words: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask of bits as one of booleans, as wide as the vocabulary with its end token."""
    raw = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(raw, bitorder="little")[: END + 1].astype(bool)


def ours() -> Compile:
    """This library."""
    machine = Machine(token_table(Vocabulary([*TOKENS, b""], frozenset({END})), [END]))
    warmup()
    style = JsonStyle(whitespace="compact")

    class Ours:
        def __init__(self, grammar: Any) -> None:
            self._matcher = grammar.matcher()

        def mask(self) -> NDArray[np.bool_]:
            return unpacked(self._matcher.mask())

        def advance(self, token_id: int) -> bool:
            return bool(self._matcher.advance(token_id))

    def compile_schema(schema: Mapping[str, Any]) -> Start:
        grammar = compile_json_schema(schema, machine, style=style)
        return lambda: Ours(grammar)

    return compile_schema


def llguidance() -> Compile:
    """llguidance, told to write no white space."""
    import llguidance as peer
    import llguidance.numpy as masks
    from llguidance._tokenizer import TokenizerWrapper

    class Spelled:
        def __init__(self) -> None:
            self.eos_token_id, self.bos_token_id = END, None
            self.tokens, self.special_token_ids = [*TOKENS, b"<end>"], [END]

        def __call__(self, text: bytes | str) -> list[int]:
            return list(text.encode() if isinstance(text, str) else text)

    tokenizer = peer.LLTokenizer(TokenizerWrapper(Spelled()))
    layout = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}

    class Theirs:
        def __init__(self, matcher: Any) -> None:
            self._matcher = matcher
            self._out = masks.allocate_token_bitmask(1, END + 1)

        def mask(self) -> NDArray[np.bool_]:
            masks.fill_next_token_bitmask(self._matcher, self._out, 0)
            return unpacked(self._out[0])

        def advance(self, token_id: int) -> bool:
            return bool(self._matcher.consume_token(token_id))

    def compile_schema(schema: Mapping[str, Any]) -> Start:
        # What is forced would be allowed in its shortest tokens only: a choice, not a restriction.
        text = json.dumps({**schema, "x-guidance": layout}, ensure_ascii=False)
        lark = f'%llguidance {{"no_forcing": true}}\nstart: %json {text}'
        matcher = peer.LLMatcher(tokenizer, peer.LLMatcher.grammar_from_lark(lark))
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return lambda: Theirs(matcher.deep_copy())

    return compile_schema


def xgrammar(*, any_order: bool = False) -> Compile:
    """xgrammar, told to write no white space, and what a schema does not forbid."""
    import xgrammar as peer

    known = peer.TokenizerInfo(
        [*TOKENS, b"<end>"], vocab_type=peer.VocabType.RAW, stop_token_ids=[END]
    )
    compiler = peer.GrammarCompiler(known, max_threads=1)

    class Theirs:
        def __init__(self, compiled: Any) -> None:
            self._matcher = peer.GrammarMatcher(compiled)
            self._out = peer.allocate_token_bitmask(1, END + 1)

        def mask(self) -> NDArray[np.bool_]:
            self._matcher.fill_next_token_bitmask(self._out)
            return unpacked(self._out.numpy()[0])

        def advance(self, token_id: int) -> bool:
            return bool(self._matcher.accept_token(token_id))

    def compile_schema(schema: Mapping[str, Any]) -> Start:
        compiled = compiler.compile_json_schema(
            json.dumps(schema, ensure_ascii=False),
            any_whitespace=False,
            separators=(",", ":"),
            strict_mode=False,
            any_order=any_order,
        )
        return lambda: Theirs(compiled)

    return compile_schema


ENGINES: Mapping[str, Callable[[], Compile]] = {
    "ours": ours,
    "llguidance": llguidance,
    "xgrammar": xgrammar,
    "xgrammar, any order": lambda: xgrammar(any_order=True),
}


def tokens_of(text: bytes, rng: random.Random) -> list[int]:
    """A text cut into tokens at random."""
    found: list[int] = []
    at = 0
    while at < len(text):
        fitting = [
            token
            for token, part in enumerate(TOKENS)
            if text.startswith(part, at) and (len(part) > 1 or rng.random() < 0.5)
        ] or [text[at]]
        found.append(rng.choice(fitting))
        at += len(TOKENS[found[-1]])
    return found


def walks_of(texts: set[bytes], rng: random.Random) -> list[list[int]]:
    """Some of the texts, as tokens."""
    whole = sorted(text for text in texts if len(text) <= _LONGEST)
    return [tokens_of(text, rng) for text in rng.sample(whole, min(_TEXTS, len(whole)))]


def compare(start: Start, walk: Sequence[int], oracle: ExactMasks, score: Score) -> set[str]:
    """Follow one text; returns which directions were wrong ("over", "under")."""
    text, prefix = start(), b""
    wrong: set[str] = set()
    for token in [*walk, None]:
        mask, verdicts = text.mask(), oracle.verdicts(prefix)
        required, forbidden = verdicts == REQUIRED, verdicts == FORBIDDEN
        score.tokens["required"] += int(required.sum())
        score.tokens["forbidden"] += int(forbidden.sum())
        for direction, tokens in (("over", required & ~mask), ("under", forbidden & mask)):
            count = int(tokens.sum())
            score.tokens[direction] += count
            if count and direction not in wrong:
                first = int(tokens.argmax())
                shown = "the end" if first == END else repr(TOKENS[first])
                score.examples[direction].append(f"{shown} after {prefix!r}")
                wrong.add(direction)
        if token is None:
            break
        if not mask[token] or not text.advance(token):
            score.tokens["stuck"] += 1
            break
        prefix += TOKENS[token]
    return wrong


def keywords_in(schema: object) -> set[str]:
    """The keywords that a schema uses anywhere."""
    if isinstance(schema, list):
        return set().union(*map(keywords_in, schema))
    if not isinstance(schema, dict):
        return set()
    found: set[str] = set()
    for key, inner in schema.items():
        found.add(key)
        if key in ("enum", "const", "required", "dependentRequired"):
            continue
        inners = list(inner.values()) if key == "properties" else inner
        found |= keywords_in(inners)
    return found


def judge(
    compile_schema: Compile, drawn: FiniteSchema, oracle: ExactMasks, walks: Any, score: Score
) -> None:
    """Score one engine on one schema."""
    try:
        start = compile_schema(drawn.schema)
        start().mask()
    except Exception as error:
        kind = "refused" if oracle.texts else "refused, as nothing is valid"
        score.schemas[kind] += 1
        if oracle.texts:
            score.refusals[str(error).strip().split("\n")[0][:100]] += 1
        return
    if not oracle.texts:
        score.schemas[FOR_NOTHING] += 1
        return
    score.schemas["compiled"] += 1
    wrong: set[str] = set()
    for walk in walks:
        found = compare(start, walk, oracle, score)
        for direction in found - wrong:
            score.examples[direction][-1] += f" under {json.dumps(drawn.schema)}"
        for direction in found & wrong:
            score.examples[direction].pop()
        wrong |= found
    for direction in wrong:
        score.schemas[direction] += 1
        score.kinds.update(f"{direction}: {word}" for word in keywords_in(drawn.schema))
    score.schemas["exact"] += not wrong


def measure(
    schemas: Iterable[FiniteSchema],
    seed: int,
    engines: Mapping[str, Compile],
    after: Callable[[int, Mapping[str, Score]], object] = lambda _, __: None,
) -> dict[str, Score]:
    """The scores of engines over the same schemas and texts.

    after: called with the number of schemas that are done, and the scores so far.
    """
    scores = {name: Score() for name in engines}
    for number, given in enumerate(schemas):
        rng = random.Random(f"{seed} {number}")
        known = validators.validator_for(given.schema, validators.Draft202012Validator)
        known.check_schema(given.schema)
        validator = known(given.schema)
        valid = [item for item in given.values if validator.is_valid(item)]
        oracle = ExactMasks(texts_of(valid), TOKENS)
        walks = walks_of(oracle.texts, rng)
        for name, compile_schema in engines.items():
            judge(compile_schema, given, oracle, walks, scores[name])
        after(number + 1, scores)
    return scores


def drawn_schemas(count: int, seed: int) -> Iterable[FiniteSchema]:
    """Schemas that are drawn at random, a seed each."""
    return (draw_finite_schema(random.Random(f"{seed} {number}")) for number in range(count))


def counts_of(score: Score) -> dict[str, Any]:
    """A score as JSON holds it."""
    return {
        "schemas": dict(score.schemas),
        "tokens": dict(score.tokens),
        "kinds": dict(score.kinds.most_common()),
        "refusals": dict(score.refusals.most_common(20)),
        "examples": {key: some[:20] for key, some in score.examples.items()},
    }


def versions() -> dict[str, str]:
    found = {}
    for name in ("decoding-engine", "llguidance", "xgrammar", "jsonschema"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--published", type=int, default=600)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    given = parser.parse_args()
    engines: dict[str, Compile] = {}
    for name in given.engine or ENGINES:
        try:
            engines[name] = ENGINES[name]()
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
    published: list[FiniteSchema] = []
    if given.published:
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.folder or Path(temporary)
            published = published_parts(folder, given.published, random.Random(given.seed))
    schemas = [*drawn_schemas(given.schemas, given.seed), *published]

    def write(done: int, scores: Mapping[str, Score]) -> None:
        if given.json and (done % 50 == 0 or done == len(schemas)):
            counts = {name: counts_of(score) for name, score in scores.items()}
            kinds = {"drawn": min(done, given.schemas), "published": max(0, done - given.schemas)}
            whole = {"seed": given.seed, **kinds, "versions": versions(), "engines": counts}
            given.json.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")

    scores = measure(schemas, given.seed, engines, write)
    print(mask_table({name: counts_of(score) for name, score in scores.items()}))
    for name, score in scores.items():
        for direction, examples in score.examples.items():
            for example in examples[:5]:
                print(f"{name}, {direction}: {example[:400]}")
        for why, times in score.refusals.most_common(8):
            print(f"{name}, refused {times}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
