"""`SpanGrammar`: a `TokenGrammar` of texts made of free, grammar and fixed-token spans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from decoding.errors import ParameterError, require
from decoding.grammar.masking.machine import Machine
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.spans.acceptor import SpanAcceptor
from decoding.grammar.spans.kinds import END, FreeSpan, Span, TokenSpan


@dataclass(frozen=True, slots=True, eq=False)
class SpanGrammar:
    """A `TokenGrammar` of texts made of spans, each of which names the spans that may follow.

    spans: they refer to one another by their numbers here.
    start: the numbers of the spans of which one comes first.
    begun: bytes that have been written before the text begins, as by a prompt that ends inside an
        answer; the text is what follows them.

    A choice between spans is kept open until the text decides it. The mask is that of the grammar
    that the text is in; in a free span it is all tokens, but for those that complete a tag and go
    on as what follows the tag cannot. Matchers keep the laws of `decoding.grammar.protocol`, except
    that a free span takes special tokens. Matchers of one call of `matcher` share their states.

    Raises:
        ParameterError: a number is none of a span's, a tag is empty, a budget is negative, a
            token is none of the vocabulary's, or no text begins with `begun`.
    """

    machine: Machine = field(repr=False)
    spans: tuple[Span, ...]
    start: tuple[int, ...] = (0,)
    begun: bytes = b""

    def __post_init__(self) -> None:
        require("spans", len(self.spans), len(self.spans) > 0, "at least one")
        for name, numbers in (("start", self.start), *_references(self.spans)):
            for number in numbers:
                legal = number == END or 0 <= number < len(self.spans)
                require(name, number, legal, f"the number of a span, 0 to {len(self.spans) - 1}")
        for span in self.spans:
            if isinstance(span, FreeSpan):
                tags = [tag for tag, _ in (*span.tags, *span.leading)]
                require("tags", tags, all(tags), "not empty")
                require("budget", span.budget, (span.budget or 0) >= 0, ">= 0, or None")
            if isinstance(span, TokenSpan):
                known = len(self.machine.tokens.spelled)
                legal = bool(span.token_ids) and all(0 <= item < known for item in span.token_ids)
                require(
                    "token_ids", span.token_ids, legal, f"token ids below {known}, at least one"
                )
        self.matcher()

    def matcher(self) -> Matcher:
        """A matcher at the beginning of a new text, behind the bytes `begun`."""
        acceptor = SpanAcceptor(self.machine.finder, self.spans, self.start)
        if not acceptor.begin(self.begun):
            raise ParameterError("begun", self.begun, "the beginning of a text of these spans")
        return Matcher(acceptor, self)


def _references(spans: Iterable[Span]) -> Iterable[tuple[str, tuple[int, ...]]]:
    """The numbers that spans refer to, with the name of the field."""
    for span in spans:
        if isinstance(span, FreeSpan):
            yield "tags", tuple(number for _, number in (*span.tags, *span.leading))
            yield "over", (span.over,)
        else:
            yield "then", span.then
