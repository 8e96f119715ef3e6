"""Names of keys as paths of bytes: the short way is the long one."""

from __future__ import annotations

import pytest

from decoding.grammar.json.keys import _bytes_in_a_row, _spelled
from decoding.grammar.regular.nfa import Spelling


@pytest.mark.parametrize(
    "listed", [("name",), ("a", "ab", "b"), ("", "a"), ("a", ""), ("x" * 40, "", "\x7f ~")]
)
def test_paths_of_names_of_single_bytes(listed: tuple[str, ...]) -> None:
    short, long = _bytes_in_a_row(listed, "".join(listed)), _spelled(listed, Spelling.JSON)
    assert sorted(short[0].tolist()) == long[0].tolist()
    assert short[0][:, 0].tolist() == long[0][:, 0].tolist()
    assert short[1:] == long[1:]
