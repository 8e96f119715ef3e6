"""Philox counters: how seed, position and token id address random words.

A word is Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2,
3", doi:10.1145/2063384.2063405) of

    key     = (low, high) 32 bits of the request's 64-bit seed
    counter = (token_id // 4, position, draw, domain),  lane token_id % 4

so it depends on nothing but the request, the token and the place. A draw uses 64 bits a token: the
high 32 come from `TOKEN_HIGH`, the low 32 from `TOKEN_LOW`, in two blocks, so that a fast kernel
needs the second only for tokens whose first leaves them a chance.

    k = (high · 2³² + low) >> 12,   u = (k + ½) · 2⁻⁵²,   noise = −ln(−ln u)

u is exact in float64 and lies in [2⁻⁵³, 1 − 2⁻⁵³], so the noise is finite at every word.
"""

TOKEN_HIGH = 1
TOKEN_LOW = 2
SEQUENCE_SEED = 3
XTC_COIN = 0x585443
"""Domain tags: words of different domains never meet."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL_KEYS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

DISCARDED_BITS = 12
UNIFORM_SCALE = 2.0**-52
