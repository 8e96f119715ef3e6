"""Random texts that a grammar allows, over a vocabulary of single bytes."""

import random

import numpy as np

from decoding.grammar import Machine, Matcher, token_table
from decoding.vocabulary import Vocabulary

END = 256
CLOSING = [ord(character) for character in '}]"']
PLAIN = range(0x20, 0x7F)


def byte_machine() -> Machine:
    spelled = [bytes([byte]) for byte in range(256)]
    return Machine(token_table(Vocabulary([*spelled, b""], frozenset({END})), [END]))


def allowed(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).tolist()


def walk(matcher: Matcher, rng: random.Random, most: int) -> str | None:
    """A random text, drawn to an end once it is long; `None` if that end does not come.

    Fails where no token is allowed at all, or where one is that cannot be taken.
    """
    spelled = bytearray()
    for count in range(most):
        tokens = allowed(matcher)
        assert tokens, ("a dead end", bytes(spelled))
        late = count > most // 4
        if END in tokens and (len(tokens) == 1 or late or rng.random() < 0.3):
            return spelled.decode()
        tokens = [token for token in tokens if token != END]
        closing = [token for token in tokens if token in CLOSING]
        plain = [token for token in tokens if token in PLAIN]
        if late and closing and rng.random() < 0.8:
            tokens = closing
        elif plain and rng.random() < 0.9:
            tokens = plain
        token = rng.choice(tokens)
        assert matcher.advance(token), (bytes(spelled), token)
        spelled.append(token)
    return None


def accepts(matcher: Matcher, text: str) -> bool:
    """Whether a whole text is allowed."""
    return all(map(matcher.advance, text.encode())) and matcher.is_accepting
