"""Many texts of one grammar at once: in a batch, and in threads."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from decoding.grammar import CompiledGrammar, Machine, Matcher, compile_json_schema, token_table
from decoding.grammar.masking.interpreted import MemoizedWalks
from decoding.grammar.masking.walks import KernelWalks
from decoding.vocabulary import Vocabulary

PIECES = ('{"', '": ', '", "', '"}', "}, ", " [", "na", "name", "true", "12", "\\u00", "é", "ab")
SPELLED = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES]
END = len(SPELLED)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 9},
        "parts": {"type": "array", "items": {"$ref": "#"}},
        "size": {"type": "integer", "minimum": 3, "maximum": 2000},
    },
    "patternProperties": {"^x": {"type": "boolean"}},
    "additionalProperties": False,
}
THREADS = 64


def fresh_grammar() -> CompiledGrammar:
    vocabulary = Vocabulary([*SPELLED, b"<end>"], frozenset({END}))
    return compile_json_schema(SCHEMA, Machine(token_table(vocabulary, [END])))


def random_walk(matcher: Matcher, rng: random.Random) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """Tokens of a text, each with the mask in front of it."""
    for _ in range(40):
        mask = matcher.mask()
        tokens = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
        token = int(rng.choice(tokens))
        if token == END:
            return
        yield token, mask.copy()
        assert matcher.advance(token)


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns at almost every instruction."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("impatient")
def test_threads_that_share_a_grammar_see_the_masks_of_one_alone() -> None:
    alone, shared = fresh_grammar(), fresh_grammar()
    texts = [list(random_walk(alone.matcher(), random.Random(seed))) for seed in range(8)]
    assert sum(map(len, texts)) > 100
    begin, right = threading.Barrier(THREADS), []

    def follow(number: int) -> None:
        matcher = shared.matcher()
        begin.wait()
        for token, mask in texts[number % len(texts)]:
            if not np.array_equal(matcher.mask(), mask) or not matcher.advance(token):
                return
        right.append(number)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(right) == list(range(THREADS))


def test_a_batch_is_its_rows_and_walks_no_trie_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar, rng = fresh_grammar(), random.Random(4)
    matchers = []
    while len(matchers) < THREADS:
        matcher = grammar.matcher()
        matchers += [matcher.fork() for _ in random_walk(matcher, rng)]
    rows = [matcher.mask().copy() for matcher in matchers[:THREADS]]

    def walked(*_: object) -> None:
        pytest.fail("a mask that is known was made again")

    for walks in (KernelWalks, MemoizedWalks):
        monkeypatch.setattr(walks, "allow", walked)
    assert np.array_equal([matcher.mask() for matcher in matchers[:THREADS]], rows)
