"""Generated text: characters that begin in the prompt, early stops, bytes of tokens."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from byte_tokenizer import END, ByteTokenizer

from decoding import GenerationParameters, LanguageModel, generate, stream
from decoding.engine.stopping import StopStrings

PEPPER = "\U0001f336".encode()


def saying(script: bytes | list[int], prompt_length: int) -> LanguageModel:
    """A model that says a script, then ends."""

    def forward(rows: list[list[int]]) -> Any:
        logits = np.zeros((len(rows), 257))
        for index, row in enumerate(rows):
            said = len(row) - prompt_length
            logits[index, script[said] if said < len(script) else END] = 9
            logits[index, 0x83] = 8
        return logits

    return LanguageModel(forward=forward, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({END}))


@pytest.mark.parametrize(
    ("prompt", "script", "before", "text"),
    [
        (b"Hi " + PEPPER[:1], PEPPER[1:] + b" ok", "Hi ", "\U0001f336 ok"),
        (b"Hi " + PEPPER[:3], PEPPER[3:] + b" ok", "Hi ", "\U0001f336 ok"),
        (PEPPER[:2], PEPPER[2:], "", "\U0001f336"),
        # Where nothing completes the character, U+FFFD stands for its beginning.
        (b"Hi " + PEPPER[:3], b"ok", "Hi ", "\ufffdok"),
        (b"Hi " + PEPPER[:3], b"", "Hi ", "\ufffd"),
        # What begins no character is the prompt's own.
        (b"Hi \x8c", b"ok", "Hi \ufffd", "ok"),
        (b"Hi", b"ok", "Hi", "ok"),
        ([*b"Hi ", *PEPPER[:3], END], b"ok", "Hi \ufffd", "ok"),
    ],
)
def test_a_character_that_begins_in_the_prompt_is_written_whole(
    prompt: bytes | list[int], script: bytes, before: str, text: str
) -> None:
    model = saying(script, len(prompt))
    short = GenerationParameters(max_new_tokens=20)
    full = GenerationParameters(max_new_tokens=20, return_full_text=True)
    assert generate(model, list(prompt), short).generated_text == text
    assert generate(model, list(prompt), full).generated_text == before + text
    events = list(stream(model, list(prompt), full))
    assert "".join(event.text for event in events) == text
    assert events[-1].generated_text == before + text


def test_such_a_character_may_be_a_stop() -> None:
    model = saying(PEPPER[2:] + b"no", 2)
    parameters = GenerationParameters(max_new_tokens=9, stop=["\U0001f336"], return_full_text=True)
    response = generate(model, list(PEPPER[:2]), parameters)
    assert (response.generated_text, response.generated_tokens) == ("\U0001f336", 2)


def test_it_is_whole_where_the_prompt_is_truncated() -> None:
    prompt = b"Hi " + PEPPER[:3]
    model = saying(PEPPER[3:], 1)
    parameters = GenerationParameters(max_new_tokens=9, truncate=1, return_full_text=True)
    assert generate(model, list(prompt), parameters).generated_text == "Hi \U0001f336"


@pytest.mark.parametrize(
    ("min_tokens", "tokens", "text"),
    [
        (0, 2, "a\n"),
        (1, 2, "a\n"),
        (2, 10, "a\nbcdefgh\n"),
        (9, 10, "a\nbcdefgh\n"),
        (10, 14, "a\nbcdefgh\nijk"),
    ],
)
def test_a_stop_that_ends_within_the_first_tokens_is_text(
    min_tokens: int, tokens: int, text: str
) -> None:
    model = saying(b"a\nbcdefgh\nijk", 1)
    parameters = GenerationParameters(max_new_tokens=20, min_tokens=min_tokens, stop=["\n"])
    response = generate(model, "x", parameters)
    assert (response.generated_tokens, response.generated_text) == (tokens, text)


def test_a_stop_may_begin_before_it_may_stop() -> None:
    model = saying(b"abcabc", 1)
    parameters = GenerationParameters(max_new_tokens=20, min_tokens=2, stop=["abc", "b"])
    assert generate(model, "x", parameters).generated_text == "abc"


def test_a_stop_that_is_passed_by_is_not_held_back() -> None:
    matcher = StopStrings(("END", "a")).start(keep=False)
    assert matcher.push("an END", stopping=False) == "an END"
    assert matcher.push("EN", stopping=False) == ""
    assert (matcher.push("D!"), matcher.stop) == ("", "END")


def test_the_empty_stop_waits_too() -> None:
    matcher = StopStrings(("",)).start()
    assert (matcher.push("ab", stopping=False), matcher.stop) == ("ab", None)
    assert (matcher.push("cd"), matcher.stop) == ("cd", "")


def test_every_token_tells_its_bytes() -> None:
    parameters = GenerationParameters(
        max_new_tokens=4, top_n_tokens=2, decoder_input_details=True, details=True
    )
    response = generate(saying(PEPPER, 2), "é", parameters)
    assert b"".join(token.bytes or b"" for token in response.tokens) == PEPPER
    assert [token.bytes for token in response.prefill] == [b"\xc3", b"\xa9"]
    for index, step in enumerate(response.top_tokens):
        assert [token.bytes for token in step] == [PEPPER[index : index + 1], b"\x83"]
    assert "bytes" not in response.to_json()
    assert json.loads(response.to_json())["details"]["tokens"][0].keys() == {
        "id", "text", "logprob", "special",
    }  # fmt: skip


def test_without_a_tokenizer_the_bytes_are_not_known() -> None:
    model = LanguageModel(forward=saying(b"ab", 1).forward)
    assert generate(model, [1], GenerationParameters(max_new_tokens=1)).tokens[0].bytes is None
