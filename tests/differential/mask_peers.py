"""A vocabulary for all engines of grammars, and where two of them allow different tokens."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from decoding.grammar import TokenGrammar, TokenMatcher, TokenTable, token_table
from decoding.models.token_bytes import vocabulary_of

ENDS = ("</s>", "<eot>")
PADDING = 11
WORDS = """name age kind value items total first last street city true false null alpha beta gamma
    delta lambda 2024-01-31 12.5e3 -0.75 1000 https://a.org/b?c"""
NO_LIMIT = 1 << 16
"""Of white space, as peers have none."""


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
    vocabulary = vocabulary_of(tokenizer, "a trained vocabulary")
    ends = [tokenizer.token_to_id(end) for end in ENDS]
    return token_table(vocabulary, ends, len(vocabulary) + PADDING)


def allowed(matcher: TokenMatcher) -> set[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


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
    for _ in range(5):
        mine, yours, text = ours.matcher(), theirs.matcher(), b""
        for _ in range(25):
            here = allowed(mine)
            ignored = {
                token
                for token, spelled in enumerate(tokens.spelled)
                if any(part in text[-1:] + spelled for part in except_for)
            }
            different = (here ^ allowed(yours)) - ignored
            assert not different, (text, [tokens.spelled[i] for i in different])
            choices = [
                token
                for token in sorted(here - ignored - set(tokens.end_token_ids))
                if not set(tokens.spelled[token]) & set(avoid)
            ]
            if not choices:
                break
            token = rng.choice(choices)
            assert mine.advance(token)
            assert yours.advance(token)
            text += tokens.spelled[token]
