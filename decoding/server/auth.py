"""Checks the bearer token of a request."""

from __future__ import annotations

import hmac


def is_allowed(authorization: str | None, key: str) -> bool:
    """Whether an `Authorization` header brings the key; takes as long for every wrong one."""
    scheme, _, token = (authorization or "").partition(" ")
    given = token.strip().encode("utf-8", "surrogatepass")
    same = hmac.compare_digest(given, key.encode("utf-8", "surrogatepass"))
    return same and scheme.lower() == "bearer"
