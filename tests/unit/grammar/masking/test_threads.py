"""Threads compile grammars and follow texts on one machine: no text is led astray."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from decoding.grammar import Machine, compile_json_schema, compile_regex, token_table
from decoding.grammar.masking.routes import INTERPRETED, PREFERRED, Route
from decoding.vocabulary import Vocabulary

VOCABULARY = Vocabulary([b"", *(bytes((byte,)) for byte in range(256))], frozenset({0}))
TEXTS = 300


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def words_of(text: int) -> list[str]:
    return [f"{7919 * text + 31 * index:x}-{index}" for index in range(40)]


def follow(machine: Machine, text: int) -> str:
    """The word of a grammar of several words that the masks lead to, byte by byte."""
    matcher = compile_regex("|".join(words_of(text)), machine).matcher()
    spelled = b""
    while True:
        bits = np.unpackbits(np.asarray(matcher.mask()).view(np.uint8), bitorder="little")
        allowed = np.flatnonzero(bits).tolist()
        token_id = allowed[text % len(allowed)]
        if token_id == 0:
            return spelled.decode()
        assert matcher.advance(token_id)
        spelled += VOCABULARY.bytes_of(token_id)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("route", [PREFERRED, INTERPRETED])
def test_texts_are_followed_while_other_grammars_are_compiled(route: Route) -> None:
    machine = Machine(token_table(VOCABULARY, {0}, len(VOCABULARY)), route=route)
    over = threading.Event()
    failures: list[Exception] = []

    def compile_others() -> None:
        try:
            for number in count():
                if over.is_set():
                    return
                compile_regex(f"w{number}(a|b){{1,{number % 7 + 1}}}[c-e]*", machine)
                name, least = f"p{number}", {"type": "integer", "minimum": number}
                compile_json_schema({"type": "object", "properties": {name: least}}, machine)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=compile_others)
    thread.start()
    try:
        found = [follow(machine, text) for text in range(TEXTS)]
    finally:
        over.set()
        thread.join()
    assert not failures
    for text, word in enumerate(found):
        assert word in words_of(text)
