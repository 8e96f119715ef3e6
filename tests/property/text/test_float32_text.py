"""Float texts read back as the same float32, and no shorter text does."""

from __future__ import annotations

import json
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.wire.json_text import float32_text

# The layouts: plain with a fraction, or scientific without padding.
LAYOUT = re.compile(r"-?(\d{1,13}\.\d+|[1-9](\.\d*[1-9])?e(-?[1-9]\d?))")


def from_bits(bits: int) -> np.float32:
    return np.uint32(bits).view(np.float32)


def digits_of(text: str) -> str:
    return re.sub(r"e.*|[-.]", "", text).strip("0")


def check(value: np.float32) -> None:
    text = float32_text(float(value))
    if not np.isfinite(value):
        assert text == "null"
        return
    assert LAYOUT.fullmatch(text), text
    back = np.float32(json.loads(text))
    assert back.tobytes() == value.tobytes(), text
    assert digits_of(text) == digits_of(str(value)), text
    digits = digits_of(text)
    if len(digits) > 1:
        # With one digit fewer the candidates are the decimals just below and just above.
        exact = Decimal(float(value))
        unit = Decimal(1).scaleb(exact.adjusted() - len(digits) + 2)
        for rounding in (ROUND_FLOOR, ROUND_CEILING):
            shorter = (exact / unit).to_integral_value(rounding) * unit
            with np.errstate(over="ignore"):
                assert np.float32(float(shorter)) != value, (text, shorter)


@settings(max_examples=amount(check=100, full=500, nightly=25_000))
@given(st.integers(0, 2**32 - 1).map(from_bits) | st.floats(width=32).map(np.float32))
def test_any_float(value: np.float32) -> None:
    check(value)


def test_ten_thousand_random_bit_patterns() -> None:
    for bits in np.random.default_rng(0).integers(0, 2**32, 10_000).tolist():
        check(from_bits(bits))


def test_every_power_of_two_and_its_neighbours() -> None:
    # Here the distance to the neighbours differs, where shortest-digit algorithms go wrong.
    for exponent in range(1, 255):
        for offset in (-1, 0, 1):
            check(from_bits((exponent << 23) + offset))
