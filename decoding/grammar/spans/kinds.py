"""The kinds of spans of a text, each with its successors: free text, a grammar's text, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from decoding.grammar.compiled import CompiledGrammar

END = -1
"""In the place of a span's number: the text may end here."""


@dataclass(frozen=True, slots=True)
class FreeSpan:
    """Any text, special tokens included, through the first of the tags (byte strings) that end it.

    tags: what ends the span, each with the number of the span that follows. A tag may be one
        special token or be spelled by any tokens, and may end inside a token whose other bytes
        belong to what follows.
    leading: the same for tags that count only at the beginning of the span, behind white space.
        Such a tag is also the beginning of the text of the span that follows.
    may_end: whether the text may end in this span.
    budget: most tokens of the span, ≥ 0; None for no limit. over: the span that follows then.
    """

    tags: tuple[tuple[bytes, int], ...] = ()
    leading: tuple[tuple[bytes, int], ...] = ()
    may_end: bool = True
    budget: int | None = None
    over: int = END


@dataclass(frozen=True, slots=True)
class GrammarSpan:
    """A text of one compiled grammar; then one of the spans that `then` numbers.

    then: the numbers of the spans of which one follows; `END` where the text may end.
    last_bytes: the bytes that a text of the grammar can end with. A token may hold the end of this
        span and the beginning of the next one if the span's last byte is one of these and few bytes
        can begin the next one. Where none is given, no token does.
    """

    grammar: CompiledGrammar
    then: tuple[int, ...] = (END,)
    last_bytes: bytes = b""


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A fixed sequence of token ids, special ones too; then one of the spans in `then`.

    then: as for `GrammarSpan`.
    """

    token_ids: tuple[int, ...]
    then: tuple[int, ...] = (END,)


Span: TypeAlias = FreeSpan | GrammarSpan | TokenSpan
