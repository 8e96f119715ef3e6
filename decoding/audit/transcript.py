"""`Transcript`: a prompt, its tokens and facts about them, read from several JSON forms."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from decoding.checks import checked_integer, checked_token_ids
from decoding.errors import ParameterError, require
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer
from decoding.wire.details import Response
from decoding.wire.provenance import Provenance

_ID_PREFIX = "token_id:"
"""What vLLM writes in the place of a token's text with `return_tokens_as_token_ids`."""

_MOST_DIGITS = 10
"""Of a token id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The tokens of one text, with their prompt and the recorded facts about them.

    token_ids: what was generated, end token included where it is known.
    prompt: token ids; None where the source does not say.
    logprobs: of each token, as the source says; NaN for what it does not say.
    seed: as the source says; None for none.
    provenance: of a response of this library.
    is_exact: whether the ids are the source's own, and not found again from texts.
    """

    token_ids: tuple[int, ...]
    prompt: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    seed: int | None = None
    provenance: Provenance | None = None
    is_exact: bool = True

    @property
    def parameters(self) -> GenerationParameters | None:
        """The request's parameters, where the provenance has them."""
        return None if self.provenance is None else self.provenance.parameters


def transcript_of(tokens: Anything, model: LanguageModel | None = None) -> Transcript:
    """Read tokens from a `Response`, from decoded JSON, or from bare ids.

    tokens: a `Response`; a `Transcript`, which stays as it is; token ids; or an object as TGI
        writes it (`generated_text` and `details`), as `decoding batch` writes it, as
        `Response.to_record` gives it, or as OpenAI's API writes it (`choices`, the first of which
        is read).
    model: its tokenizer finds the ids of OpenAI's tokens: by `token_ids` or "token_id:N" where a
        server sends them, else by the bytes of each token, else by encoding the text.

    Raises:
        ParameterError: it is none of these, or the ids cannot be found.
    """
    if isinstance(tokens, Transcript):
        return tokens
    if isinstance(tokens, Response):
        return _of_response(tokens)
    if not isinstance(tokens, Mapping):
        return Transcript(token_ids=tuple(checked_token_ids("tokens", tokens)))
    if "choices" in tokens:
        return _of_openai(tokens, None if model is None else model.tokenizer)
    if "details" in tokens:
        return _of_object(tokens)
    if "token_ids" in tokens:
        return Transcript(
            token_ids=tuple(checked_token_ids("token_ids", tokens["token_ids"])),
            prompt=_optional_ids("prompt", tokens.get("prompt")),
            seed=_seed_of(tokens),
        )
    expected = "an object with `details` (TGI, this library), `choices` (OpenAI) or `token_ids`"
    raise ParameterError("tokens", tokens, expected)


def sequences_of(response: Response) -> tuple[Transcript, ...]:
    """List the sequences of a response: the chosen one, then those that best-of rejected.

    Each has its own seed, so that `verify`, `score` and `replay` take it like any text.

    Raises:
        ParameterError: it is no `Response`.
    """
    require("response", response, isinstance(response, Response), "a Response")
    chosen = _of_response(response)
    losers = (
        replace(
            chosen,
            token_ids=tuple(token.id for token in sequence.tokens),
            logprobs=tuple(token.logprob for token in sequence.tokens),
            seed=sequence.seed,
        )
        for sequence in response.best_of_sequences
    )
    return chosen, *losers


def read_transcripts(text: str, model: LanguageModel | None = None) -> list[Transcript]:
    """Read a file: one JSON value, or a JSON value a line; see `transcript_of`.

    Rows of `decoding batch` that have an error, or no details, are refused by their line.

    Raises:
        ParameterError: it is neither, or a value is no transcript; says which line.
    """
    try:
        return [transcript_of(json.loads(text), model)]
    except (json.JSONDecodeError, RecursionError):
        pass
    found = []
    # Not `splitlines`: a JSON string may hold U+2028 and other characters that it cuts at.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(transcript_of(json.loads(line), model))
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"line {number}", line[:80], f"a transcript ({error})") from error
    require("FILE", text[:80], len(found) > 0, "JSON, or JSON a line")
    return found


def _of_response(response: Response) -> Transcript:
    return Transcript(
        token_ids=tuple(token.id for token in response.tokens),
        prompt=_prompt_of(response),
        logprobs=tuple(token.logprob for token in response.tokens),
        seed=response.seed,
        provenance=response.provenance,
    )


def _prompt_of(response: Response) -> tuple[int, ...] | None:
    if response.provenance is not None:
        return response.provenance.prompt
    return tuple(token.id for token in response.prefill) or None


def _of_object(decoded: Mapping[str, Any]) -> Transcript:
    """TGI's object, or a row of `decoding batch`, whose text may stand in a message."""
    expected = "an object: TGI writes it where the request says `details: true`"
    require("details", decoded["details"], isinstance(decoded["details"], Mapping), expected)
    body = {"generated_text": "", **decoded}
    try:
        written = json.dumps(body)
    except (TypeError, ValueError, RecursionError):
        raise ParameterError("tokens", decoded, "decoded JSON") from None
    return _of_response(Response.from_json(written))


def _of_openai(decoded: Mapping[str, Any], tokenizer: Tokenizer | None) -> Transcript:
    choices = decoded["choices"]
    legal = isinstance(choices, list) and len(choices) > 0 and isinstance(choices[0], Mapping)
    require("choices", choices, legal, "a list of objects, at least one")
    choice = choices[0]
    prompt = choice.get("prompt_token_ids", decoded.get("prompt_token_ids"))
    ids = choice.get("token_ids")
    entries = _entries(choice)
    logprobs = tuple(_number(entry.get("logprob")) for entry in entries) or None
    if ids is not None:
        token_ids, is_exact = tuple(checked_token_ids("choices[0].token_ids", ids)), True
        if logprobs is not None and len(logprobs) != len(token_ids):
            logprobs = None
    elif entries:
        token_ids = tuple(_id_of(entry, tokenizer) for entry in entries)
        is_exact = all(str(entry.get("token", "")).startswith(_ID_PREFIX) for entry in entries)
    else:
        token_ids, is_exact = tuple(_encoded(choice, tokenizer)), False
    return Transcript(
        token_ids=token_ids,
        prompt=_optional_ids("prompt_token_ids", prompt),
        logprobs=logprobs,
        seed=_seed_of(decoded),
        is_exact=is_exact,
    )


def _entries(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tokens of `logprobs`, of a chat or of a completion, in the form of a chat."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, Mapping):
        return []
    content = logprobs.get("content")
    if isinstance(content, list):
        return [item for item in content if isinstance(item, Mapping)]
    tokens, values = logprobs.get("tokens") or [], logprobs.get("token_logprobs") or []
    legal = isinstance(tokens, list) and isinstance(values, list)
    require("choices[0].logprobs", logprobs, legal, "lists `tokens` and `token_logprobs`")
    return [
        {"token": token, "logprob": value} for token, value in zip(tokens, values, strict=False)
    ]


def _id_of(entry: Mapping[str, Any], tokenizer: Tokenizer | None) -> int:
    shown = str(entry.get("token", ""))
    number = shown.removeprefix(_ID_PREFIX)
    if number != shown and number.isdecimal() and len(number) <= _MOST_DIGITS:
        return checked_token_ids("logprobs", [int(number)])[0]
    if tokenizer is None:
        raise ParameterError("model", None, "one with a tokenizer, to find ids by their bytes")
    wanted = _bytes_of(shown, entry.get("bytes"))
    vocabulary = tokenizer.vocabulary
    for token_id in tokenizer.encode(shown, add_special_tokens=False)[:1]:
        if vocabulary.bytes_of(token_id) == wanted:  # the common case
            return token_id
    for token_id in range(len(vocabulary)):
        if vocabulary.bytes_of(token_id) == wanted and not vocabulary.is_special(token_id):
            return token_id
    raise ParameterError("logprobs", shown, "tokens of the model's vocabulary")


def _bytes_of(token: str, spelled: object) -> bytes:
    """The bytes of a token of OpenAI's: `bytes`, or the text itself where they are null."""
    try:
        if spelled is None:
            return token.encode()
        if isinstance(spelled, list):
            return bytes(spelled)
    except (ValueError, TypeError, UnicodeEncodeError):
        pass
    expected = "text that UTF-8 can encode, or `bytes`, a list of integers from 0 to 255"
    raise ParameterError("logprobs", token if spelled is None else spelled, expected)


def _seed_of(decoded: Mapping[str, Any]) -> int | None:
    seed = decoded.get("seed")
    expected = "in [0, 2**64), or null"
    return None if seed is None else checked_integer("seed", seed, 0, 2**64 - 1, expected)


def _encoded(choice: Mapping[str, Any], tokenizer: Tokenizer | None) -> list[int]:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if not isinstance(text, str) or tokenizer is None:
        expected = "with token_ids, with logprobs, or with text beside a model with a tokenizer"
        raise ParameterError("choices[0]", choice, expected)
    return tokenizer.encode(text, add_special_tokens=False)


def _optional_ids(name: str, value: Anything) -> tuple[int, ...] | None:
    return None if value is None else tuple(checked_token_ids(name, value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)
