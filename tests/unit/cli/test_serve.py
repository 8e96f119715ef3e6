"""The flags and variables of `decoding serve`."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest
from speaker import code_of

from decoding.cli.serve import add_serve, limits_of_flags, read_settings
from decoding.errors import ParameterError


def settings(*flags: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_serve(parser.add_subparsers())
    return read_settings(parser.parse_args(["serve", *flags]))


def test_defaults_are_tgis() -> None:
    given = settings()
    assert given["port"] == 3000
    assert given["max_concurrent_requests"] == 128
    assert given["max_best_of"] == 2
    assert given["max_stop_sequences"] == 4
    assert given["max_top_n_tokens"] == 5
    assert given["max_client_batch_size"] == 4
    assert given["payload_limit"] == 2_000_000
    assert given["api_key"] is None
    assert given["disable_grammar_support"] is False


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_BEST_OF", "3")
    monkeypatch.setenv("DISABLE_GRAMMAR_SUPPORT", "true")
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", "https://a, https://b")
    given = settings("--max-best-of", "4", "--json-output")
    assert given["max_best_of"] == 4
    assert given["disable_grammar_support"] is True
    assert given["json_output"] is True
    assert given["cors_allow_origin"] == ("https://a", "https://b")
    assert settings()["max_best_of"] == 3
    assert settings("--disable-grammar-support", "false")["disable_grammar_support"] is False


def test_a_wrong_value_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "many")
    assert code_of(["serve"]) == 2
    assert "PORT" in capsys.readouterr().err
    assert code_of(["serve", "--max-best-of", "x"]) == 2


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("port", "65536", "from 0 to 65535"),
        ("port", "-1", "from 0 to 65535"),
        ("max-concurrent-requests", "0", "at least 1"),
        ("max-total-tokens", "1", "at least 2"),
        ("prefix-tokens", "-1", "at least 0"),
        ("shutdown-timeout", "inf", "from 0 to"),
        ("shutdown-timeout", "nan", "from 0 to"),
    ],
)
def test_numbers_have_a_range_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, flag: str, value: str, expected: str
) -> None:
    with pytest.raises(ParameterError, match=f"--{flag} must be {expected}"):
        settings(f"--{flag}", value)
    variable = flag.upper().replace("-", "_")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ParameterError, match=f"{variable} must be {expected}"):
        settings()


def test_a_watermark_is_checked_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoding.cli.serve.load", lambda *_, **__: pytest.fail("loads"))
    monkeypatch.setenv("WATERMARK_GAMMA", "0.5")
    assert code_of(["serve", "--watermark-gamma", "2"]) == 2
    assert "gamma" in capsys.readouterr().err


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "PORT", "MAX_BATCH_SIZE"):
        monkeypatch.setenv(name, "")
    given = settings()
    assert (given["api_key"], given["port"], given["max_batch_size"]) == (None, 3000, None)


@pytest.mark.parametrize("name", ["watermark_gamma", "watermark_delta"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_watermark_of_every_request_is_checked_at_once(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name.upper(), value)
    assert code_of(["serve", "--model-id", "no model"]) == 2
    assert f"{name.split('_')[1]} must be" in capsys.readouterr().err.lower()


def test_limits_follow_the_context() -> None:
    limits = limits_of_flags(settings(), 100)
    assert (limits.max_input_tokens, limits.max_total_tokens) == (99, 100)
    limits = limits_of_flags(settings("--max-total-tokens", "50"), 100)
    assert (limits.max_input_tokens, limits.max_total_tokens) == (49, 50)
    limits = limits_of_flags(settings("--max-input-tokens", "10"), 100)
    assert (limits.max_input_tokens, limits.max_total_tokens) == (10, 100)
    with pytest.raises(ParameterError, match="max-total-tokens"):
        limits_of_flags(settings("--max-total-tokens", "101"), 100)


def test_the_name_of_the_machine_is_no_address_to_listen_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "3f2a9c")
    monkeypatch.setenv("HOSTNAME", "3f2a9c")
    assert settings()["hostname"] == "0.0.0.0"
    monkeypatch.setenv("HOSTNAME", "127.0.0.1")
    assert settings()["hostname"] == "127.0.0.1"


def test_the_collector_looks_at_new_objects_alone() -> None:
    program = """
import gc, sys, weakref
from decoding.cli.serve import let_threads_go_on

class Node:
    pass

def circle():
    node = Node()
    node.itself = node
    return weakref.ref(node)

loaded = len(gc.get_objects())
let_threads_go_on()
assert gc.isenabled()
assert gc.get_freeze_count() > 0.9 * loaded, (gc.get_freeze_count(), loaded)
assert sys.getswitchinterval() < 0.001
first = circle()
kept = []
while first() is not None and len(kept) < 20_000:
    kept.append(Node())
assert 6_000 < len(kept) < 20_000, len(kept)  # circles go all the same, only later
"""
    subprocess.run([sys.executable, "-c", program], check=True)
