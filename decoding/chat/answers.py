"""Builds the grammar of a chat answer from spans: reasoning, text, tool calls and format."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

from decoding.chat.formats import ReasoningFormat, ToolFormat
from decoding.chat.tools import Calls, call_schema
from decoding.errors import GrammarError, ParameterError
from decoding.grammar import CompiledGrammar
from decoding.grammar.spans import END, FreeSpan, GrammarSpan, Span, SpanGrammar, TokenSpan
from decoding.models.grammars import ModelGrammars
from decoding.models.protocol import LanguageModel
from decoding.request_grammar import Grammar


@dataclass(frozen=True, slots=True)
class Thinking:
    """The reasoning part of a chat answer: its tags, its state in the prompt, a token budget.

    form: its tags. opened: whether the prompt has opened it. closed: whether the prompt has closed
        it, so that there is none. budget: most tokens of it; None for no limit.
    """

    form: ReasoningFormat
    opened: bool = False
    closed: bool = False
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The form of a chat answer: reasoning, tool calls and response format.

    calls: which tools it may call; None for none. form: how calls are written.
    response: the response format; it applies behind the reasoning, and not to calls.
    thinking: its reasoning; None where the model has none.
    begun: the text of the answer that the prompt ends with.
    """

    calls: Calls | None
    form: ToolFormat
    response: Grammar | None = None
    thinking: Thinking | None = None
    begun: str = ""


def answer_grammar(model: LanguageModel, answer: Answer) -> SpanGrammar | None:
    """Make the `SpanGrammar` of a chat answer; None where any text is an answer.

    What has begun and is no beginning of required calls, or of a response format, is text in front
    of these.

    Raises:
        ParameterError: the model has no tokenizer or no end token, or the answer has begun with a
            call that is none.
        GrammarError: a schema or an expression cannot be compiled.
    """
    calls, response, thinking = answer.calls, answer.response, answer.thinking
    constrained = calls is not None or response is not None
    if not constrained and (thinking is None or thinking.budget is None or thinking.closed):
        return None
    if model.grammars is None or not model.eos_token_ids:
        name = "response_format" if calls is None else "tools"
        raise ParameterError(name, model.name, "unused for a model without tokenizer or end token")
    spans = _Spans(model, model.grammars)
    start = _body(spans, answer)
    if thinking is not None and not thinking.closed:
        start = _with_thinking(spans, thinking, start)
    machine, made = model.grammars.machine, tuple(spans.made)
    try:
        begun = answer.begun.encode("utf-8", "replace")
        return SpanGrammar(machine, made, tuple(start), begun)
    except ParameterError as error:
        if error.name != "begun":
            raise
    if calls is None or calls.required:
        return SpanGrammar(machine, made, tuple(start))
    expected = "the beginning of an answer with these tools"
    raise ParameterError("messages[-1].content", answer.begun, expected)


class _Spans:
    """The spans of an answer as they are made; a number stands for each."""

    def __init__(self, model: LanguageModel, grammars: ModelGrammars) -> None:
        self.model, self.grammars = model, grammars
        self.made: list[Span] = []

    def add(self, span: Span) -> int:
        """The number of a new span."""
        self.made.append(span)
        return len(self.made) - 1

    def reserve(self) -> int:
        """A number for a span that is put there later."""
        return self.add(FreeSpan())

    def put(self, number: int, span: Span) -> None:
        """The span that a reserved number stands for."""
        self.made[number] = span

    def grammar(
        self, grammar: Grammar, then: tuple[int, ...] = (END,), last: bytes = b""
    ) -> GrammarSpan:
        """A span of a grammar."""
        compiled = self.grammars.mask_of(grammar).grammar
        assert isinstance(compiled, CompiledGrammar)
        return GrammarSpan(compiled, then, last)

    def regex(self, pattern: str, then: tuple[int, ...], last: bytes = b"") -> GrammarSpan:
        """A span of a regular expression."""
        return self.grammar(Grammar("regex", pattern), then, last)

    def tag(self, text: str, then: tuple[int, ...]) -> int:
        """A span that is a tag: the special token that it is, or its text."""
        special = self.grammars.machine.finder.special(text.encode())
        if special:
            return self.add(TokenSpan(special[:1], then))
        return self.add(self.regex(re.escape(text), then, text[-1:].encode()))


def _body(spans: _Spans, answer: Answer) -> list[int]:
    """The spans of which one begins what stands behind the reasoning."""
    calls, response, form = answer.calls, answer.response, answer.form
    start = [] if response is None else [spans.add(spans.grammar(response))]
    if calls is None:
        return start or [spans.add(FreeSpan())]
    schema = call_schema(calls, form, begun=bool(answer.begun))
    if calls.required or response is not None:
        made = _calls(spans, calls, form, schema, None)
        return [*([] if calls.required else start), *made.first]
    free = spans.reserve()
    made = _calls(spans, calls, form, schema, free)
    leading = tuple((lead.encode(), made.json_text) for lead in form.leading)
    spans.put(free, FreeSpan(((form.opening.encode(), made.opened),), leading))
    return [free]


@dataclass(frozen=True, slots=True)
class _CallSpans:
    """The numbers of spans of calls.

    first: of which one comes first. opened: behind the opening. json_text: the JSON.
    """

    first: tuple[int, ...]
    opened: int
    json_text: int


def _calls(
    spans: _Spans, calls: Calls, form: ToolFormat, schema: Grammar, free: int | None
) -> _CallSpans:
    """The spans of one or several calls.

    schema: of what stands behind the opening.
    free: the free span that goes on behind a call; None where only calls may follow.
    """
    opened, json_text = spans.reserve(), spans.reserve()
    opening = spans.tag(form.opening, (opened,))
    following: tuple[int, ...] = (END,)
    if calls.several and not form.as_array:
        if form.separator:
            following = (END, spans.add(spans.regex(form.separator, (json_text,))))
        elif free is not None:
            following = (free,)
        else:
            following = (END, opening, spans.add(spans.regex("\n", (opening,), b"\n")))
    if form.closing:
        closing = spans.tag(form.closing, following)
        following = (closing, spans.add(spans.regex("\n", (closing,), b"\n")))
    try:
        span = spans.grammar(schema, following, b"]" if form.as_array else b"}")
    except GrammarError as error:
        raise _of_tool(error, calls) from error
    spans.put(json_text, span)
    blank = " ?" if form.as_array else "\n?"
    spans.put(opened, spans.regex(blank, (json_text,), b" \n"))
    first = (opening, json_text) if form.bare else (opening,)
    return _CallSpans(first, opened, json_text)


def _of_tool(error: GrammarError, calls: Calls) -> GrammarError:
    """Reword an error in the schema of all calls: it names the tool and a place in its schema."""
    found = _ARGUMENTS.match(error.where)
    if found is None:
        return error
    name = calls.tools[int(found[1] or 0)].name
    moved = copy.copy(error)
    moved.where = f"tool {name}, {error.where[found.end() :] or 'the root'}"
    moved.args = (moved.where + str(error).removeprefix(error.where),)
    return moved


_ARGUMENTS = re.compile(r"(?:/items)?(?:/anyOf/(\d+))?/properties/(?:arguments|parameters)(?=/|$)")
"""JSON Pointers in the result of `call_schema` below which a tool's own schema stands."""


def _with_thinking(spans: _Spans, thinking: Thinking, body: list[int]) -> list[int]:
    """The spans of which one begins an answer whose reasoning comes before some spans."""
    form = thinking.form
    before = spans.made[body[0]]
    free = len(body) == 1 and isinstance(before, FreeSpan)
    behind = body[0] if free else spans.add(spans.regex("\n{0,2}", tuple(body), b"\n"))
    forced = spans.add(_forced(spans.model, form.closing, behind))
    tags = ((form.closing.encode(), behind),)
    inside = spans.add(FreeSpan(tags, may_end=free, budget=thinking.budget, over=forced))
    if thinking.opened:
        return [inside]
    opening = spans.tag(form.opening, (inside,))
    if isinstance(before, FreeSpan) and free:
        leading = (*before.leading, (form.opening.encode(), opening))
        return [spans.add(FreeSpan(before.tags, leading))]
    return [*body, opening, spans.add(spans.regex("\n", (opening,), b"\n"))]


def _forced(model: LanguageModel, text: str, following: int) -> TokenSpan:
    """The span of forced tokens that closes the reasoning when its token budget is spent."""
    assert model.tokenizer is not None
    vocabulary = model.tokenizer.vocabulary
    token_ids = tuple(model.tokenizer.encode(text, add_special_tokens=False))
    if b"".join(map(vocabulary.bytes_of, token_ids)) != text.encode():
        # A tokenizer that puts a space in front: the tag is spelled a byte at a time.
        alone = {vocabulary.bytes_of(item): item for item in reversed(range(len(vocabulary)))}
        token_ids = tuple(alone[bytes([byte])] for byte in text.encode())
    return TokenSpan(token_ids, (following,))
