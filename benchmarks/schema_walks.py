"""Random texts of a JSON grammar, and documents with one change."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import numpy as np

from decoding.grammar import Matcher

_SOFT, _HARD = 120, 1500
_CLOSING = frozenset(b'"}],')
_PLAIN = frozenset(range(0x20, 0x7F))
_VALUES = (None, True, False, 0, -1, 7, 2.5, 1e6, "", "a", "abc", [], [1], ["a", "a"], {}, {"a": 1})


def random_text(matcher: Matcher, rng: random.Random) -> str | None:
    """A random text, drawn to its end once it is long; `None` if that end does not come.

    Raises RuntimeError where no token is allowed, or where one is that cannot be taken.
    """
    spelled = matcher.tokens.spelled
    text = bytearray()
    for count in range(_HARD):
        bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
        tokens = [token for token in np.flatnonzero(bits).tolist() if token < len(spelled)]
        whole = matcher.is_accepting
        if whole and (count > _SOFT or rng.random() < 0.3):
            return text.decode()
        tokens = [token for token in tokens if spelled[token]]
        if not tokens:
            if whole:
                return text.decode()
            message = f"no token is allowed behind {bytes(text[-100:])!r}"
            raise RuntimeError(message)
        closing = [token for token in tokens if _CLOSING.issuperset(spelled[token])]
        plain = [token for token in tokens if _PLAIN.issuperset(spelled[token])]
        if count > _SOFT and closing and rng.random() < 0.8:
            tokens = closing
        elif plain and rng.random() < 0.95:
            tokens = plain
        token = rng.choice(tokens)
        if not matcher.advance(token):
            message = f"{spelled[token]!r} is allowed and not taken behind {bytes(text[-100:])!r}"
            raise RuntimeError(message)
        text += spelled[token]
    return None


def mutated(value: Any, rng: random.Random) -> Any:  # any JSON value
    """A copy of a value that is changed at one place."""
    changed = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []
    stack = [changed] if isinstance(changed, dict | list) else []
    while stack:
        container = stack.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            places.append((container, key))
            if isinstance(container[key], dict | list):
                stack.append(container[key])
        places.append((container, None))
    if not places or rng.random() < 0.02:
        return rng.choice(_VALUES)
    container, key = rng.choice(places)
    if key is None:
        new = copy.deepcopy(rng.choice(_VALUES))
        if isinstance(container, dict):
            container[rng.choice(("a", "name", "zz-new", "$ref"))] = new
        else:
            container.append(copy.deepcopy(rng.choice(container)) if container else new)
    elif rng.random() < 0.4:
        del container[key]
    else:
        container[key] = copy.deepcopy(rng.choice(_VALUES))
    return changed


def spelled_as(matcher: Matcher, value: Any) -> bool:  # any JSON value
    """Whether the grammar takes a value as `json.dumps` writes it, without white space."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "surrogatepass")
    return all(matcher.follow(bytes([byte])) for byte in data) and matcher.is_accepting
