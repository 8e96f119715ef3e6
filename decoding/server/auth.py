"""Checks the bearer token of a request."""

from __future__ import annotations

import hmac


def is_allowed(authorization: str | None, key: str) -> bool:
    """Whether an `Authorization` header brings the key; takes as long for every wrong one.

    authorization: the header's bytes, each as the character of its number. Clients write a key that
        is not ASCII in UTF-8 or in Latin-1.
    """
    scheme, _, token = (authorization or "").partition(" ")
    given = token.strip(" \t").encode("latin-1", "replace")
    same = hmac.compare_digest(given, key.encode("utf-8", "surrogatepass"))
    same |= hmac.compare_digest(given, key.encode("latin-1", "backslashreplace"))
    return same and scheme.lower() == "bearer"
