"""JSON is read and written in short steps as `json` does it at once."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from types import FrameType, MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.json_steps import DEEPEST, LONG, compact, loads

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
AROUND = " " * LONG


def outcome(work: Callable[[], Any]) -> Any:
    """What work returns, or the kind and the text of what it raises."""
    try:
        return work()
    except ValueError as error:
        return type(error), str(error)


@given(JSON)
def test_a_value_is_written_as_by_json(value: Any) -> None:
    expected = outcome(
        lambda: json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    )
    assert outcome(lambda: compact(value)) == expected


@given(JSON, st.booleans())
def test_a_long_text_is_read_as_by_json(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only) + AROUND
    assert repr(loads(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1,]",
        "{1:2}",
        '{"a":1,"a":2}',
        "[1]]",
        "nul",
        '"\t"',
        "01",
        "-",
        "\ufeff1",
        '["\\ud800"]',
    ],
)
def test_a_malformed_long_text_is_refused_as_by_json(text: str) -> None:
    long = AROUND + text if text != "\ufeff1" else text + AROUND
    assert outcome(lambda: loads(long)) == outcome(lambda: json.loads(long))


def test_constants_are_the_callers() -> None:
    assert loads("[NaN, -Infinity]" + AROUND, parse_constant=str.lower) == ["nan", "-infinity"]


def test_what_has_no_json_form_is_refused() -> None:
    assert compact(MappingProxyType({"a": (1, 2)})) == '{"a":[1,2]}'
    for value in ({1: 2}, {"a": {1}}, [b"x"]):
        with pytest.raises(ValueError, match="has no JSON form"):
            compact(value)


@pytest.mark.parametrize("work", [lambda value, _: compact(value), lambda _, text: loads(text)])
def test_a_call_of_python_comes_with_every_container(work: Callable[[Any, str], Any]) -> None:
    value = [{"a": [index]} for index in range(2000)]
    text = json.dumps(value)
    calls = 0

    def count(frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work(value, text)
    finally:
        sys.settrace(before)
    assert calls > 4000


@pytest.mark.parametrize("around", ["", AROUND])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"[":', "}")])
def test_a_text_nests_to_the_limit_and_not_beyond(around: str, opened: str, closed: str) -> None:
    for levels in (DEEPEST, DEEPEST + 1, 100_000):
        text = around + opened * levels + "0" + closed * levels
        if levels == DEEPEST:
            assert loads(text) == json.loads(text)
        else:
            with pytest.raises(RecursionError, match="recursion limit exceeded"):
                loads(text)


def test_no_frame_of_python_runs_near_its_limit_of_frames() -> None:
    deepest = 0

    def look(frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal deepest
        depth = 0
        while at := frame.f_back:
            depth, frame = depth + 1, at
        deepest = max(deepest, depth)

    around = len(inspect.stack(0))
    before = sys.gettrace()
    sys.settrace(look)
    try:
        with pytest.raises(RecursionError):
            loads("[" * 100_000)
    finally:
        sys.settrace(before)
    assert deepest - around < 4 * DEEPEST < sys.getrecursionlimit() - 400


def test_what_is_beside_a_container_is_not_deeper() -> None:
    text = json.dumps([[] for _ in range(3 * DEEPEST)])
    assert loads(text) == json.loads(text)
