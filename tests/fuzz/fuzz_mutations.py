"""Damaged and hostile variants of a file, as functions of a seed."""

from __future__ import annotations

import json
import random
from typing import Any

_BYTES = [0, 1, 2, 7, 8, 0x22, 0x2C, 0x5B, 0x7B, 0x7F, 0x80, 0xC0, 0xFE, 0xFF]
_NUMBERS = [
    0, 1, -1, 2, 3, 31, 33, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63,
    2**64 - 1, 2**64, 10**14, -(10**14), 10**400, 0.5, -0.0, 1e-300, 1e308, float("nan"),
    float("inf"),
]  # fmt: skip
_TEXTS = [
    "", " ", "\0", "a", "é", "🙂", "▁", "Ġ", "\ud800", "x" * 300, "x" * 100_000, "../x",
    "/dev/zero", "/etc/passwd", "C:\\x", "(a*)*b", "[", "(?", "\\p{L}+", ".*", "(a|a)*b", "llama",
    "null",
]  # fmt: skip


def mutated_bytes(seed: str, whole: bytes, header: int) -> bytes:
    """A few bytes changed, cut out or put in; most of them in the first `header` bytes."""
    rng = random.Random(seed)
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        limit = header if rng.random() < 0.9 else len(data)
        place = rng.randrange(max(1, min(limit, len(data))))
        match rng.randrange(7):
            case 0 | 1 | 2:
                data[place : place + 1] = bytes([rng.choice([*_BYTES, rng.randrange(256)])])
            case 3:
                data[place] ^= 1 << rng.randrange(8)
            case 4:  # a length, an offset or a count
                number = rng.choice([0, 1, 2, 31, 255, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1])
                width = rng.choice([4, 8])
                data[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
            case 5:
                stop = place + rng.choice([1, 4, 8, 100])
                data[place:stop] = data[place:stop] * rng.choice([0, 2, 3])
            case 6:
                del data[place : len(data) if rng.random() < 0.2 else place + 1]
        data = data or bytearray(1)
    return bytes(data)


def mutated_json(seed: str, value: Any, names: list[str], parts: list[Any]) -> bytes:
    """A few values, keys or members of a document changed; now and then the text as well.

    names: keys that mean something in such a document; parts: values that do.
    """
    rng = random.Random(seed)
    document = json.loads(json.dumps(value))
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        document = _changed(rng, document, names, parts)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.7)
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        data = mutated_bytes(seed, data, len(data))
    return data


def _changed(rng: random.Random, document: Any, names: list[str], parts: list[Any]) -> Any:
    places = list(_places(document))
    if not places or rng.random() < 0.01:
        return _any_value(rng, parts)
    container, key = rng.choice(places)
    match rng.randrange(9):
        case 0 | 1 | 2:
            container[key] = _any_value(rng, parts)
        case 3:
            del container[key]
        case 4:
            container[key] = rng.choice(
                [[container[key]], {"type": container[key]}, [container[key]] * 3]
            )
        case 5:
            other, place = rng.choice(places)
            container[key] = json.loads(json.dumps(other[place]))  # a copy, for no circles
        case 6 if isinstance(container, dict):
            container[rng.choice(names + _TEXTS)] = container.pop(key)
        case 7 if isinstance(container, dict):
            container[rng.choice(names)] = _any_value(rng, parts)
        case 8 if isinstance(container, list):
            container.insert(key, _any_value(rng, parts))
        case _ if isinstance(container[key], int | float):
            container[key] += rng.choice([-1, 1, 100])
        case _ if isinstance(container[key], str):
            container[key] += rng.choice(_TEXTS)
        case _:
            container[key] = None
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every member: of a vocabulary a few, or there would be little else."""
    found: list[tuple[Any, Any]] = []
    waiting = [document] if isinstance(document, dict | list) else []
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in list(keys)[:40]:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    return found


def _any_value(rng: random.Random, parts: list[Any]) -> Any:
    match rng.randrange(8):
        case 0 | 1:
            return rng.choice(_NUMBERS)
        case 2:
            return rng.choice(_TEXTS)
        case 3:
            return rng.choice([None, True, False, [], {}])
        case 4:
            depth = rng.choice([5, 100, 2000])
            nested: Any = 1
            for _ in range(depth):
                nested = [nested] if rng.random() < 0.5 else {"a": nested}
            return nested if depth < 900 else []
        case 5:
            return [rng.choice([0, "a", None])] * rng.choice([10, 10_000])
        case _:
            return json.loads(json.dumps(rng.choice(parts)))
