"""A vocabulary shared by all grammar engines, and the tokens on which two of them differ."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models, pre_tokenizers, trainers

from decoding.grammar import JsonStyle, TokenGrammar, TokenMatcher, TokenTable, token_table
from decoding.vocabulary import Vocabulary

ENDS = ("</s>", "<eot>")
PADDING = 11
WORDS = """name age kind value items total first last street city true false null alpha beta gamma
    delta lambda 2024-01-31 12.5e3 -0.75 1000 https://a.org/b?c"""
AS_PEERS = JsonStyle(whitespace="free", longest=1 << 16, digits=None, nesting=None)
"""Peers bound none of it."""


def byte_level_tokens() -> TokenTable:
    """A byte-level BPE of 520 tokens, trained on JSON; its width is no multiple of 32."""
    rng = random.Random(3)
    words = re.findall(r"\S+", WORDS)
    lines = [
        json.dumps(
            {word: rng.choice([word[::-1], 12, 3.5e7, None, [word, word], {word: word}])
             for word in rng.sample(words, 4)},
            indent=rng.choice([None, 2]),
        )
        for _ in range(300)
    ]  # fmt: skip
    lines += ['"café 中文 😀 \\n\\u00e9\\" x y"', '"\\ud83d\\ude00"'] * 20
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=["<s>", *ENDS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    vocabulary = Vocabulary.from_tokenizers(tokenizer, source="a trained vocabulary")
    ends = [tokenizer.token_to_id(end) for end in ENDS]
    return token_table(vocabulary, ends, len(vocabulary) + PADDING)


def tokens_of(mask: NDArray[np.uint32]) -> NDArray[np.int64]:
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))


def allowed(matcher: TokenMatcher) -> set[int]:
    return set(tokens_of(matcher.mask()).tolist())


def follow(matcher: TokenMatcher, text: bytes, tokens: TokenTable) -> int:
    """Take a text byte by byte; how many bytes were taken."""
    for count, byte in enumerate(text):
        if not matcher.advance(tokens.spelled.index(bytes([byte]))):
            return count
    return len(text)


def difference(
    ours: TokenGrammar, theirs: TokenGrammar, text: bytes, tokens: TokenTable
) -> tuple[set[bytes], set[bytes]]:
    """What only we, and what only they, allow behind a text that both take."""
    matchers = ours.matcher(), theirs.matcher()
    for matcher in matchers:
        assert follow(matcher, text, tokens) == len(text)
    mine, yours = map(allowed, matchers)
    return {tokens.spelled[i] for i in mine - yours}, {tokens.spelled[i] for i in yours - mine}


def assert_equal_masks(
    ours: TokenGrammar,
    theirs: TokenGrammar,
    tokens: TokenTable,
    *,
    avoid: bytes = b"",
    except_for: Iterable[bytes] = (),
) -> None:
    """Equal masks along random texts.

    avoid: bytes that the texts do not hold, though the masks are compared where they could come.
    except_for: what one of the two does not take: tokens that bring it need not be equal.
    """
    rng = random.Random(7)
    parts = tuple(except_for)

    def excused(text: bytes, token: int) -> bool:
        return any(part in text[-1:] + tokens.spelled[token] for part in parts)

    def leads_on(text: bytes, token: int) -> bool:
        is_end = token in tokens.end_token_ids
        avoided = is_end or bool(set(tokens.spelled[token]) & set(avoid))
        return not avoided and not excused(text, token)

    for _ in range(5):
        mine, yours, text = ours.matcher(), theirs.matcher(), b""
        for _ in range(25):
            here = mine.mask()
            different = [t for t in tokens_of(here ^ yours.mask()) if not excused(text, t)]
            assert not different, (text, [tokens.spelled[token] for token in different])
            tried = rng.choices(tokens_of(here), k=60)
            token = next((int(token) for token in tried if leads_on(text, token)), None)
            if token is None:
                break
            assert mine.advance(token)
            assert yours.advance(token)
            text += tokens.spelled[token]
