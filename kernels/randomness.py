"""Defines the noise law: a seed, position and token id address random words; constants.

`docs/noise.md` is the full text, with known answers. Nothing here may change: a stored seed must
draw the same tokens in every version and on every backend.

A word is Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2,
3", doi:10.1145/2063384.2063405) of

    key     = (low, high) 32 bits of the request's 64-bit seed
    counter = (index, position, draw, domain)

Two words make a uniform, high and low:

    k = (high · 2³² + low) >> 12,   u = (k + ½) · 2⁻⁵²

u is exact in float64 and lies in [2⁻⁵³, 1 − 2⁻⁵³]. Tokens are in blocks of n = `BLOCK_SIZE`
consecutive ids. Block b has words w0 to w3 at index b of the domain `NOISE_BLOCK`:

    share_b = −ln u(w0, w1) / n,   lead_b = b · n + w2 mod n

Token i has a high and a low word, at index i // 4, lane i % 4, of `TOKEN_HIGH` and `TOKEN_LOW`:

    e_i = share_b                       where i is the lead of its block
          share_b − ln u(high, low)     elsewhere
    noise_i = −ln e_i

Of n independent Exp(1) the smallest is Exp(n), at a uniform place, and the others are the smallest
plus Exp(1): so every e_i is Exp(1), independent of all others, and every noise standard Gumbel.
No noise of a block is above that of its lead, but for the logarithm's rounding, which is far below
`MARGIN`. So a block whose largest logit + (noise of the lead + `MARGIN`) is below the score of
some token cannot hold the winner.

The logarithm is a fixed sequence of float64 operations, none of them fused, so that it has the same
bits everywhere. For a positive normal x, of which `bits` is the integer with the same 64 bits:

    t = bits − LOG_OFFSET,   k = t >> 52 (with sign),   m = the float of bits − (k << 52)
    f = m − 1,  h = 0.5 · f · f,  s = f / (2 + f),  z = s · s,  w = z · z
    r = w · (L2 + w · (L4 + w · L6)) + z · (L1 + w · (L3 + w · (L5 + w · L7)))
    ln x = ((((s · (h + r) + k · LN_2_LOW) − h) + f) + k · LN_2_HIGH)

which is FreeBSD's e_log.c without its branches: m lies in [√½, √2), and the error below 1 ulp.
"""

TOKEN_HIGH = 1
TOKEN_LOW = 2
SEQUENCE_SEED = 3
NOISE_BLOCK = 4
XTC_COIN = 0x585443
"""Domain tags: words of different domains never meet."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL_KEYS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

DISCARDED_BITS = 12
UNIFORM_SCALE = 2.0**-52

BLOCK_SIZE = 256
"""Tokens of a block: n."""
MARGIN = 2.0**-40
"""More than the rounding of two logarithms."""

LOG_OFFSET = 0x3FE6A09E667F3BCD
"""The bits of √½."""
MANTISSA_BITS = 52
LOG_COEFFICIENTS = (
    float.fromhex("0x1.5555555555593p-1"),
    float.fromhex("0x1.999999997fa04p-2"),
    float.fromhex("0x1.2492494229359p-2"),
    float.fromhex("0x1.c71c51d8e78afp-3"),
    float.fromhex("0x1.7466496cb03dep-3"),
    float.fromhex("0x1.39a09d078c69fp-3"),
    float.fromhex("0x1.2f112df3e5244p-3"),
)
"""L1 to L7."""
LN_2_HIGH = float.fromhex("0x1.62e42feep-1")
LN_2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
