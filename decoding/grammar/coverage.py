"""Checks that a vocabulary's tokens can finish every grammar text that they can begin.

With a token for each byte it can: from every state of a grammar some bytes lead to an end. Without,
a text might reach a state whose next byte has no token, so that no token is allowed. These checks
exclude that: from every state that tokens reach, bytes that are tokens must lead to an end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarVocabularyError
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.nfa import Spelling, reached
from decoding.grammar.regular.worklist import reachable
from decoding.grammar.schema import Schema
from decoding.grammar.tokens.table import TokenTable
from decoding.kernels.grammar.earley_arrays import TOP, Network

_BYTES = 256
_UTF_8 = bytes(sorted({*range(0xC0), *range(0xC2, 0xF5)}))
_PRINTABLE = range(0x20, 0x7F)
_CONTINUATION = range(0x80, 0xC0)
_REQUIRING = ("const", "enum", "pattern", "required", "dependentRequired")


def check_schema(schema: Schema, tokens: TokenTable) -> None:
    """Raise `GrammarVocabularyError` if bytes that a schema's JSON texts may need lack tokens.

    The vocabulary must have a token for each byte of printable ASCII, for each byte that continues
    a character which tokens can begin, and for the bytes of texts that the schema may require. The
    character classes of patterns are not checked: where no character of one has tokens, masks may
    be empty.
    """
    if _has_all(tokens):
        return
    wanted = {*_PRINTABLE, *_required_text(schema)}
    if tokens.used[-1:] >= b"\x80":
        wanted |= set(_CONTINUATION)
    missing = wanted - set(tokens.alone)
    if missing:
        raise GrammarVocabularyError("", bytes(sorted(missing)))


def check_expression(expression: Expression, tokens: TokenTable) -> None:
    """Raise `GrammarVocabularyError` unless a regular language's begun texts can be finished."""
    if _has_all(tokens):
        return
    nfa = build(expression, Spelling.TEXT)
    sources, lows, highs, targets = nfa.edges.T
    used = _crossed(lows, highs, _by_byte(tokens.used))
    alone = _crossed(lows, highs, _by_byte(tokens.alone))
    met = reached(nfa.states, nfa.starts, sources[used], targets[used])
    ends = reached(nfa.states, nfa.accepts, targets[alone], sources[alone])
    stuck = (met & ~ends)[sources] & ~alone
    if stuck.any():
        spans = zip(lows[stuck].tolist(), highs[stuck].tolist(), strict=True)
        wanted = {byte for low, high in spans for byte in range(low, high + 1)}
        raise GrammarVocabularyError("", bytes(sorted(wanted)))


def check_network(network: Network, tokens: TokenTable) -> None:
    """Raise `GrammarVocabularyError` unless a context-free grammar's begun texts can be finished.

    Marks are tokens themselves: they can always come.
    """
    if _has_all(tokens):
        return
    used = _crossed(network.move_first, network.move_last, _by_column(network, tokens.used))
    alone = _crossed(network.move_first, network.move_last, _by_column(network, tokens.alone))
    ends = _productive(network, alone)
    wanted: set[int] = set()
    for state in _reached_states(network, used):
        begin, end = network.move_at[state : state + 2].tolist()
        for move in range(begin, end):
            if not ends[state] and not alone[move]:
                wanted |= set(range(network.move_first[move], network.move_last[move] + 1))
    if wanted:
        found = np.flatnonzero(np.isin(network.column_of[:_BYTES], list(wanted)))
        raise GrammarVocabularyError("", found.astype(np.uint8).tobytes())


def _required_text(schema: Schema) -> bytes:
    """The UTF-8 of all values in a schema of keywords that may require certain characters."""
    found: list[object] = []
    stack: list[object] = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            found += [part[keyword] for keyword in _REQUIRING if keyword in part]
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return json.dumps(found, ensure_ascii=False).encode(errors="ignore")


def _has_all(tokens: TokenTable) -> bool:
    return all(byte in tokens.alone for byte in _UTF_8)


def _by_byte(members: bytes) -> NDArray[np.bool_]:
    found = np.zeros(_BYTES, np.bool_)
    found[list(members)] = True
    return found


def _by_column(network: Network, members: bytes) -> NDArray[np.bool_]:
    found = np.zeros(int(network.column_of.max()) + 1, np.bool_)
    found[network.column_of[list(members)]] = True
    found[network.column_of[_BYTES:]] = True
    return found


def _crossed(
    low: NDArray[Any], high: NDArray[Any], members: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether each edge, from its lowest to its highest symbol, has a member."""
    count = np.concatenate(([0], np.cumsum(members)))
    crossed: NDArray[np.bool_] = count[high + 1] > count[low]
    return crossed


def _calls(network: Network, state: int) -> list[tuple[int, int]]:
    """The calls of a state: pairs (rule, state to return to)."""
    begin, end = network.call_at[state : state + 2].tolist()
    rules, backs = network.call_rule[begin:end].tolist(), network.call_return[begin:end].tolist()
    return list(zip(rules, backs, strict=True))


def _reached_states(network: Network, used: NDArray[np.bool_]) -> Iterator[int]:
    """The network states that a text may reach along used edges."""

    def following(state: int) -> Iterator[int]:
        begin, end = network.move_at[state : state + 2].tolist()
        yield from (int(network.move_target[move]) for move in range(begin, end) if used[move])
        for rule, back in _calls(network, state):
            yield int(network.entry[rule])
            if back >= 0:
                yield back

    return reachable([TOP], following)


def _productive(network: Network, alone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The network states from which the end of their rule is reached by edges that have tokens."""
    ends = network.final.astype(np.bool_)
    changed = True
    while changed:
        changed = False
        for state in np.flatnonzero(~ends).tolist():
            begin, end = network.move_at[state : state + 2].tolist()
            if any(
                alone[move] and ends[network.move_target[move]] for move in range(begin, end)
            ) or any(
                ends[network.entry[rule]] and (back < 0 or ends[back])
                for rule, back in _calls(network, state)
            ):
                ends[state] = changed = True
    return ends
