"""The output of one sequence: tokens, text, and the reason why it ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from decoding.engine.detokenizer import TextStream
from decoding.engine.stopping import StopStrings
from decoding.sampling.batch import Alternative, Sample
from decoding.vocabulary import Vocabulary
from decoding.wire.details import FinishReason, Token, TopToken

_UNKNOWN = (b"", "", False)
"""What is known of a token without a vocabulary."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The rules that end a sequence, tested at every token: length, end token, stop string.

    max_new_tokens: at least 1. eos_token_ids: any of them ends it. stops: first occurrence ends it.
    keep_stop: whether the stop stays in the text (TGI) or is removed (OpenAI).
    min_tokens: a stop that ends within so many tokens is text like any other, as in vLLM; one that
        ends later counts, wherever it begins. 0 is neutral.
    """

    max_new_tokens: int
    eos_token_ids: Collection[int] = ()
    stops: StopStrings = StopStrings()
    keep_stop: bool = True
    min_tokens: int = 0


class Transcript:
    """Records the drawn tokens of one sequence and decodes their text.

    The texts that `push` returns, joined, are the generated text: no special tokens, cut at the
    first stop, never half a character; what is incomplete at the end becomes U+FFFD.
    An end-of-sequence token counts as special. Without a vocabulary all text is empty.

    begun: bytes with which the prompt ends inside a character. The text begins with the whole
        character, or with U+FFFD where the tokens do not complete it.
    """

    def __init__(
        self, ending: Ending, vocabulary: Vocabulary | None, *, begun: bytes = b""
    ) -> None:
        self._ending = ending
        self._vocabulary = vocabulary
        self._stream = TextStream()
        self._stream.push(begun)
        self._matcher = ending.stops.start(keep=ending.keep_stop)
        self._pieces: list[str] = []
        self._tokens: list[Token] = []
        self._top_tokens: list[tuple[TopToken, ...]] = []
        self.finish_reason: FinishReason | None = None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens drawn so far, special tokens included."""
        return tuple(self._tokens)

    @property
    def top_tokens(self) -> tuple[tuple[TopToken, ...], ...]:
        """The likeliest tokens of every step; empty where none were asked for."""
        return tuple(self._top_tokens)

    @property
    def last_token(self) -> Token:
        """The last token."""
        return self._tokens[-1]

    @property
    def last_top_tokens(self) -> tuple[TopToken, ...]:
        """The likeliest tokens of the last step; empty where none were asked for."""
        return self._top_tokens[-1] if self._top_tokens else ()

    @property
    def token_count(self) -> int:
        """The number of tokens."""
        return len(self._tokens)

    @property
    def text(self) -> str:
        """The text so far that no stop string can remove any more."""
        return "".join(self._pieces)

    @property
    def mean_logprob(self) -> float:
        """The mean processed logprob of the tokens, by which best-of ranks."""
        return sum(token.logprob for token in self._tokens) / len(self._tokens)

    def push(self, sample: Sample) -> str:
        """Record one drawn token; return the text that has become final."""
        token_id = sample.token_id
        spelled, text, special = self._spelling(token_id)
        stopping = len(self._tokens) >= self._ending.min_tokens
        if special:
            shown = self._matcher.push(self._stream.flush(), stopping=stopping)
            shown += self._matcher.push(text, visible=False, stopping=stopping)
        else:
            text = ""
            shown = self._matcher.push(self._stream.push(spelled), stopping=stopping)
        self.finish_reason = self._reason_to_finish(token_id)
        if self.finish_reason is not None:
            rest = self._stream.flush()
            shown += self._matcher.push(rest, stopping=stopping) + self._matcher.flush()
        self._pieces.append(shown)
        known = None if self._vocabulary is None else spelled
        self._record(sample, shown + text, known, special=special)
        return shown

    def _record(self, sample: Sample, text: str, spelled: bytes | None, *, special: bool) -> None:
        self._tokens.append(
            Token(
                sample.token_id,
                text,
                sample.processed_logprob,
                special,
                sample.raw_logprob,
                sample.rank,
                sample.entropy,
                sample.support_size,
                spelled,
            )
        )
        if sample.top:
            self._top_tokens.append(tuple([self._top_token(other) for other in sample.top]))

    def _top_token(self, other: Alternative) -> TopToken:
        token_id = other.token_id
        spelled, text, special = self._spelling(token_id)
        known = None if self._vocabulary is None else spelled
        return TopToken(token_id, text, other.processed_logprob, special, other.raw_logprob, known)

    def _reason_to_finish(self, token_id: int) -> FinishReason | None:
        if len(self._tokens) + 1 >= self._ending.max_new_tokens:
            return FinishReason.LENGTH
        if token_id in self._ending.eos_token_ids:
            return FinishReason.EOS_TOKEN
        if self._matcher.stop is not None:
            return FinishReason.STOP_SEQUENCE
        return None

    def _spelling(self, token_id: int) -> tuple[bytes, str, bool]:
        """The bytes and the text of a token, and whether it is special."""
        spelled, text, special = (
            _UNKNOWN if self._vocabulary is None else self._vocabulary.spelling(token_id)
        )
        return spelled, text, special or token_id in self._ending.eos_token_ids
